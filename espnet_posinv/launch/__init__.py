"""The job launcher behind utils/run.pl, utils/slurm.pl and utils/queue.pl; standard library only.

``request`` reads the command line, ``engine`` submits, waits, retries and reports, ``local``, ``slurm`` and
``gridengine`` are what it submits to, and ``task`` runs each task where it lands. Beside every log, in
``q/``, lies what the launcher needs: the specification and a folder for each attempt, with its result.

A task has succeeded when two witnesses agree: its own result file, and the scheduler.
"""
