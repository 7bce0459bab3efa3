"""Tasks other than recognition that enhanced speech is put to: audio and labels go in, a score comes out.

A task is a frozen dataclass of its settings (:class:`~espnet_posinv.tasks.task.Task`). To add one, write such
a class into one file that ends with ``TASK = TheClass``: ``score_task --task my.module`` finds it.
"""
