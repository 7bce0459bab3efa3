"""The job launcher of utils/run.pl, utils/slurm.pl and utils/queue.pl; standard library only.

``request`` parses the command line; ``engine`` submits, waits, retries and reports; ``local``, ``slurm`` and
``gridengine`` are its back ends; ``task`` runs each task on its host. The launcher keeps its files in ``q/``
beside the logs: the specification, and a folder with the result of each attempt.

A task has succeeded if both its result file and the scheduler say so.
"""
