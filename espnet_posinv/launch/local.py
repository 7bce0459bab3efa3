"""Tasks on this machine (run.pl)."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time

from .engine import say
from .request import UsageError
from .resources import gpus, parse_memory, sensible_jobs
from .result import exit_words
from .task import TASK, write_spec

_PR_SET_PDEATHSIG = 1
_libc, _launcher = ctypes.CDLL(None), os.getpid()


class Local:
    """Processes on this machine, as many at a time as cores, memory and GPUs allow."""

    def __init__(self, request, workspace, signals, prog):
        if request.nodes > 1:
            raise UsageError(f"--num-nodes {request.nodes}: {prog} has this machine only; use slurm.pl")
        self.request, self.workspace, self.signals = request, workspace, signals
        self.spec = os.path.join(workspace.path, "spec.json")
        self.queue, self.running = [], {}
        mem = parse_memory(request.options["mem"]) if request.options.get("mem", "0") != "0" else None
        self.slots = sensible_jobs(mem, request.threads)
        self.gpu_sets = None
        if request.gpus:
            names, need = gpus(), request.gpus
            if names and len(names) < need:
                raise UsageError(f"--gpu {need}: this machine has {len(names)} ({','.join(names)})")
            if not names:
                say(prog, f"warning: --gpu {need}, but no GPU was found here; one task at a time")
            else:
                self.gpu_sets = [",".join(names[i : i + need]) for i in range(0, len(names) - need + 1, need)]
            self.slots = len(self.gpu_sets or [""])
        if request.max_jobs_run:
            self.slots = min(request.max_jobs_run, self.slots) if self.gpu_sets else request.max_jobs_run

    def clear_earlier_run(self):
        """Nothing to do: tasks end with their launcher, and hold its lock until then."""

    def submit(self, tasks):
        write_spec(
            self.spec,
            self.request,
            run=self.workspace.run,
            dialect="local",
            tasks={str(task): task for task in tasks},
        )
        self.queue = list(tasks)

    def wait(self):
        """Block until a task has ended; {task: None or its failure}."""
        while self.queue and len(self.running) < self.slots:
            self._start(self.queue.pop(0))
        pid, status = os.waitpid(-1, 0)
        if pid not in self.running:
            return {}
        task, gpu_set = self.running.pop(pid)
        if gpu_set is not None:
            self.gpu_sets.append(gpu_set)
        code = os.waitstatus_to_exitcode(status)
        code = code if code >= 0 else 128 - code
        return {task: exit_words(code) if code else None}

    def cancel(self):
        """Send SIGTERM to the tasks, which pass it on; after five seconds, kill all their processes."""
        for stop in (lambda pid: os.kill(pid, signal.SIGTERM), _kill_group):
            for pid in self.running:
                stop(pid)
            deadline = time.monotonic() + 5
            while self.running and time.monotonic() < deadline:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid:
                    _kill_group(pid)  # it should be empty by now
                    self.running.pop(pid, None)
                else:
                    time.sleep(0.02)

    def _start(self, task):
        environment = dict(os.environ)
        gpu_set = self.gpu_sets.pop(0) if self.gpu_sets else None
        if gpu_set is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpu_set
        with self.signals.held():
            process = subprocess.Popen(
                [sys.executable, "-IS", TASK, self.spec, str(task)],
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # a separate group, which is cancelled as a whole
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                pass_fds=(self.workspace.lock,),  # held while any task runs
            )
            self.running[process.pid] = task, gpu_set
            process.returncode = 0  # waited for with os.waitpid, not by subprocess


def _die_with_parent():
    """End the task with its launcher, even after kill -9, so that it does not disturb the next run."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _launcher:
        os._exit(1)


def _kill_group(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
