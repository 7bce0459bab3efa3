"""The main loop for all back ends: submit, wait, judge, retry, report; cancel on a signal."""

import contextlib
import fcntl
import os
import signal
import sys
import time

from .request import UsageError, substitute
from .result import Outcome, judge, log_state, tail

PATIENCE = 10.0  # seconds in which the tasks of a killed launcher must end


class Cancelled(Exception):
    """A signal asked the launcher to stop."""


class Signals:
    """Raise Cancelled on INT, TERM and HUP, but never during a submission.

    A job could not be cancelled before its number is read.
    """

    def __init__(self):
        self._hold, self._caught = 0, None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup, or a background job of a script
                signal.signal(number, self._handle)

    def _handle(self, number, frame):
        self._caught = self._caught or number
        self._check()

    def _check(self):
        if self._caught and not self._hold:
            self._hold = 1  # once: cancelling itself is not interrupted
            raise Cancelled(signal.Signals(self._caught).name)

    @contextlib.contextmanager
    def held(self):
        """Postpone a signal to the end of the block."""
        self._hold += 1
        try:
            yield
        finally:
            self._hold -= 1
        self._check()


class Workspace:
    """The launcher's own files for one LOG, in ``q/`` beside the logs: script, attempts, lock, jobs."""

    def __init__(self, request):
        directory, name = os.path.split(request.log)
        while directory != substitute(directory, request.job, ""):  # above the part that depends on the task
            directory, last = os.path.split(directory)
            name = f"{last}_{name}"
        self.path = os.path.join(directory, "q", name.removesuffix(".log"))
        self.run = f"{int(time.time()):x}-{os.getpid():x}"
        try:
            os.makedirs(self.path, exist_ok=True)
            self.lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UsageError(
                f"{request.log_pattern()} cannot be written: {error.strerror}: {error.filename}"
            ) from None

    def acquire(self, log):
        """Make sure that no other launcher writes these logs; wait for tasks of a killed launcher to end."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(self.lock, 200, 0).decode() or "unknown"
                if time.monotonic() > deadline or _runs_here(owner):
                    raise UsageError(
                        f"{log} is being written by another run ({owner}): "
                        "wait for it, stop it, or use another log"
                    ) from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                return
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, _owner(os.getpid()).encode(), 0)

    def forget(self, tasks):
        """Remove the traces of earlier runs of these tasks."""
        tasks = {str(task) for task in tasks}
        for entry in os.listdir(self.path):
            path = os.path.join(self.path, entry)
            if entry.split(".")[0] in tasks and os.path.isdir(path):
                for name in os.listdir(path):
                    os.unlink(os.path.join(path, name))
                os.rmdir(path)
            elif entry.startswith("scheduler."):
                os.unlink(path)


def _owner(pid):
    return f"process {pid} on {os.uname().nodename}"


def _runs_here(owner):
    pid = owner.split()[1:2]
    return owner == _owner(*pid or "?") and os.path.exists(f"/proc/{pid[0]}")


def launch(request, backend_class, prog):
    """Run a Request; returns the launcher's exit status. UsageError if nothing could be started."""
    skipped, tasks = _pick(request)
    if not tasks and not skipped:
        return 0
    outcomes = {outcome.task: outcome for outcome in skipped}
    backend, signals = None, Signals()
    try:
        workspace = Workspace(request)
        backend = backend_class(request, workspace, signals, prog)
        if request.check:
            return 0
        workspace.acquire(request.log_pattern())
        backend.clear_earlier_run()
        workspace.forget(tasks)
        for attempt in range(request.retry + 1):
            if attempt:
                say(prog, f"retry {attempt} of {request.retry}: {_failures(outcomes, limit=3)}")
            for outcome in _round(backend, tasks, workspace):
                outcomes[outcome.task] = outcome
            tasks = [task for task in tasks if not outcomes[task].ok]
            if not tasks:
                break
    except Cancelled as cancelled:
        say(prog, f"caught {cancelled}, cancelling; log is in {request.log_pattern()}")
        if backend is not None:
            backend.cancel()
        return 2
    except BaseException:
        if backend is not None:
            backend.cancel()
        raise
    failed = [outcome for outcome in outcomes.values() if not outcome.ok]
    if failed:
        _report(request, outcomes, prog)
    return 1 if failed else 0


def say(prog, text):
    """A line to the user."""
    print(f"{prog}: {text}", file=sys.stderr, flush=True)


def _pick(request):
    """(outcomes of tasks that count as failed and are not run, tasks to run)."""
    if request.pick == "all":
        return [], list(request.tasks)
    states = {task: log_state(request.log_of(task)) for task in request.tasks}
    failed = [task for task, state in states.items() if state == "failed"]
    incomplete = [task for task, state in states.items() if state == "incomplete"]
    if request.pick == "incomplete":
        return [Outcome(task, "failed before; --pick failed runs it again") for task in failed], incomplete
    return [], sorted(failed + incomplete)


def _round(backend, tasks, workspace):
    backend.submit(tasks)
    left = set(tasks)
    while left:
        for task, verdict in backend.wait().items():
            left.remove(task)
            yield judge(workspace.path, workspace.run, task, verdict)


def _failures(outcomes, limit):
    failed = sorted((o for o in outcomes.values() if not o.ok), key=lambda outcome: outcome.task)
    words = "; ".join(map(str, failed[:limit]))
    return words + (f"; and {len(failed) - limit} more" if len(failed) > limit else "")


def _report(request, outcomes, prog):
    failed = sorted((o for o in outcomes.values() if not o.ok), key=lambda outcome: outcome.task)
    if request.array:
        say(prog, f"{len(failed)} / {len(request.tasks)} failed, log is in {request.log_pattern()}")
    else:
        say(prog, f"job failed, log is in {request.log_pattern()}")
    for outcome in failed[:10]:
        say(prog, str(outcome))
    if len(failed) > 10:
        say(prog, "also failed: task " + " ".join(str(outcome.task) for outcome in failed[10:]))
    log = request.log_of(failed[0].task)
    lines = tail(log)
    say(prog, f"last lines of {log}:" if lines else f"{log} is empty or missing")
    for line in lines:
        print(f"    {line}", file=sys.stderr)
