"""Base class of the back ends Slurm and Grid Engine: submit a script, query states, cancel."""

import os
import shlex
import shutil
import subprocess
import sys
import time

from .conf import Conf
from .engine import say
from .request import UsageError
from .result import last_attempt, tail
from .task import TASK, write_spec

# States are queried at intervals of a fifth of the elapsed time, within these bounds (seconds).
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
# Seconds to wait after a task's end for its result file on a shared file system: longer if the scheduler
# reports success than if it reports a failure.
LATE_RESULT, LATE_REASON = 8.0, 1.0


class Cluster:
    """A scheduler; subclasses define how to submit, query and cancel.

    They define ``name``, ``programs``, ``default_conf``, ``builtin_conf``, ``requeue``, ``index`` and the
    methods ``preflight``, ``submission``, ``job_number``, ``states``, ``verdict`` and ``cancellation``.
    """

    def __init__(self, request, workspace, signals, prog):
        self.request, self.workspace, self.signals, self.prog = request, workspace, signals, prog
        missing = [program for program in self.programs if shutil.which(program) is None]
        if missing:
            raise UsageError(
                f"{', '.join(missing)} not found: this host cannot submit to {self.name}; "
                "load its module, or run here with cmd_backend=local"
            )
        path = request.options.get("config", self.default_conf)
        if "config" in request.options and not os.path.exists(path):
            raise UsageError(f"--config {path}: no such file; without --config {self.default_conf} is read")
        self.conf = Conf(path, self.builtin_conf)
        self.words = self.conf.words(request.options) + [word for words in request.raw for word in words]
        self.jobs, self.left, self.ended, self.trouble = [], {}, {}, None
        self.job_file = os.path.join(workspace.path, "jobs")
        self.preflight()

    def clear_earlier_run(self):
        """Cancel jobs that a killed launcher left in the queue: they would write to the same files."""
        try:
            with open(self.job_file) as file:
                scheduler, *jobs = file.read().split()
        except FileNotFoundError:
            return
        if scheduler != self.name.replace(" ", "") or not self.active(jobs):
            return
        say(self.prog, f"cancelling job {' '.join(jobs)} of an earlier run that still writes these logs")
        self.call(self.cancellation(jobs))
        deadline = time.monotonic() + 60
        while self.active(jobs):
            if time.monotonic() > deadline:
                raise UsageError(
                    f"job {' '.join(jobs)} of an earlier run does not end; remove it and start again"
                )
            time.sleep(0.5)

    def submit(self, tasks):
        """Submit the tasks as one job."""
        indices = self.indices(tasks)
        path = os.path.abspath(self.workspace.path)
        spec, script = os.path.join(path, "spec.json"), os.path.join(path, "job.sh")
        write_spec(
            spec,
            self.request,
            run=self.workspace.run,
            dialect="cluster",
            tasks={str(index): task for index, task in indices.items()},
            requeue=self.requeue if "requeue" in self.request.options else "",
        )
        with open(script, "w") as file:
            file.write("#!/usr/bin/env bash\n")
            index = self.index if self.request.array else str(next(iter(indices)))
            command = " ".join(shlex.quote(word) for word in (sys.executable, "-IS", TASK, spec))
            file.write(f'exec {command} "{index}"\n')
        with self.signals.held():
            result = self.call([*self.conf.command, *self.words, *self.submission(list(indices), script)])
            if result.returncode != 0:
                raise UsageError(f"{self.name} refused the job: {(result.stderr or result.stdout).strip()}")
            self.jobs = [self.job_number(result.stdout)]
            with open(self.job_file, "w") as file:
                print(self.name.replace(" ", ""), *self.jobs, file=file)
        self.left, self.started = indices, time.monotonic()
        self.ended = {}

    def wait(self):
        """Block until a task has ended; {task: None or the scheduler's complaint}."""
        while True:
            elapsed = time.monotonic() - self.started
            time.sleep(min(max(SHORTEST_PAUSE, elapsed / 5), LONGEST_PAUSE) if not self.ended else 0.5)
            states = self.ask()
            if states is None:
                continue
            now, verdicts = time.monotonic(), {}
            for index, task in list(self.left.items()):
                if index in states and states[index] is None:
                    self.ended.pop(index, None)
                    continue
                since, record = self.ended.setdefault(index, (now, states.get(index)))
                _, result = last_attempt(self.workspace.path, self.workspace.run, task)
                verdict = self.verdict(index, record or states.get(index), result)
                if result is None:
                    if now - since < (LATE_RESULT if verdict is None else LATE_REASON):
                        continue
                    verdict = self.last_words(index, verdict)
                verdicts[task] = verdict
                del self.left[index], self.ended[index]
            if verdicts:
                return verdicts

    def last_words(self, index, verdict):
        """The verdict, with the first error that the scheduler wrote into the task's output."""
        for line in tail(self.output_of(index), 100):
            if "error" in line.lower():
                return f"{verdict or 'ended without a result'} ({self.name} wrote: {line.strip()})"
        return verdict

    def output_of(self, index):
        """File for the scheduler's own messages about a task."""
        return os.path.join(os.path.abspath(self.workspace.path), f"scheduler.{index}.out")

    def ask(self):
        """states(), or None if the scheduler does not answer; running jobs are not given up for that."""
        try:
            states = self.states(self.jobs)
        except SchedulerDown as error:
            if self.trouble is None:
                self.trouble = time.monotonic()
            elif time.monotonic() - self.trouble > 60:
                say(self.prog, f"{self.name} has not answered for a minute, still waiting: {error}")
                self.trouble = time.monotonic()
            return None
        self.trouble = None
        return states

    def active(self, jobs):
        """Whether any task of these jobs is still queued or running."""
        return any(state is None for state in self.states(jobs).values())

    def cancel(self):
        """Cancel the tasks that have not ended."""
        if self.left:
            self.call(self.cancellation(self.jobs))

    def indices(self, tasks):
        """{index in the scheduler's array: task}; equal if the scheduler accepts any set of numbers."""
        return {task: task for task in tasks}

    def call(self, argv):
        """Run a command of the scheduler, protected from Ctrl-C at the terminal."""
        try:
            return subprocess.run(
                argv, capture_output=True, text=True, start_new_session=True, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise UsageError(f"{argv[0]}: command not found (from {self.conf.path})") from None


class SchedulerDown(Exception):
    """The scheduler does not answer."""
