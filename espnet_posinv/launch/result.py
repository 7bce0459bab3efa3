"""The outcome of a task, from its result file and the scheduler's state."""

import json
import os
import re
import signal


class Outcome:
    """The end of a task: ``reason`` is None for success, else a message."""

    def __init__(self, task, reason=None, host=None):
        self.task, self.reason, self.host = task, reason, host

    @property
    def ok(self):
        return self.reason is None

    def __str__(self):
        place = f" on {self.host}" if self.host else ""
        return f"task {self.task}{place}: {self.reason}"


def last_attempt(folder, run, task):
    """The newest attempt of a task: ``(started, result)``, each a dict or None when not written.

    Each attempt has its own directory ``TASK.RUN.NUMBER``, so a superseded attempt (for instance on a node
    that recovers) cannot change its successor's result.
    """
    number = 0
    while os.path.isdir(os.path.join(folder, f"{task}.{run}.{number + 1}")):
        number += 1
    attempt = os.path.join(folder, f"{task}.{run}.{number}")
    return _read(os.path.join(attempt, "started")), _read(os.path.join(attempt, "result"))


def _read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None


def judge(folder, run, task, verdict):
    """Outcome of a task that has ended; ``verdict``: the scheduler's complaint or None.

    Success needs a result file with code 0 and no complaint.
    """
    started, result = last_attempt(folder, run, task)
    host = (result or started or {}).get("host")
    if result is None:
        reason = verdict or "ended without leaving a result (disc full, or the shared file system is late?)"
        if started is None:
            reason += "; it never started"
    elif result["code"] != 0:
        reason = exit_words(result["code"])
        if verdict and not verdict.startswith("exit code"):  # the same message
            reason += f" (scheduler: {verdict})"
    else:
        reason = verdict
    return Outcome(task, reason, host)


def exit_words(code):
    """A shell's exit status in words; bash reports a death by signal S as 128 + S."""
    if code > 128:
        try:
            return f"exit code {code}, {signal_words(code - 128)}"
        except ValueError:
            pass
    hints = {126: ": the command cannot be executed", 127: ": command not found"}
    return f"exit code {code}{hints.get(code, '')}"


def signal_words(number):
    """A signal in words; raises ValueError for an unknown number."""
    name = signal.Signals(number).name
    hints = {
        "SIGKILL": ", probably out of memory",
        "SIGTERM": ", cancelled or out of time",
        "SIGXCPU": ", out of time",
        "SIGPIPE": ": a program in the pipe closed its input early",
    }
    return f"killed by signal {number} ({name}){hints.get(name, '')}"


def log_state(path):
    """State of a log of either format: 'done', 'failed', or 'incomplete' (no log or no end line).

    Only the last line counts: the program may print such lines too.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 4096))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return "incomplete"
    match = re.fullmatch(
        r"# Ended \(code (\d+(?:; signal \d+)?)\) at .*, elapsed time \d+ seconds"
        r"|# Finished at .* with status (\d+)",
        lines[-1] if lines else "",
    )
    if match is None:
        return "incomplete"
    return "done" if (match[1] or match[2]) == "0" else "failed"


def tail(path, count=20):
    """Last lines of a log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 16384))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
