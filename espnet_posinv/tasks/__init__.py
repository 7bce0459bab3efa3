"""Tasks other than recognition for enhanced speech: scores from audio and labels.

A task is a frozen dataclass of its settings (:class:`~espnet_posinv.tasks.task.Task`). To add one, write such
a class into a module that ends with ``TASK = TheClass``; ``posinv score task --task my.module`` loads it.
"""
