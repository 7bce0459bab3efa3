"""Runs one attempt of one task, on this machine or on a node of a cluster: ``task.py SPEC INDEX``.

However the command ends, this keeps its log, passes signals on to it, and writes a result file (attempt,
code, signal, host, times).
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

TASK = os.path.abspath(__file__)
# Exit codes that make Grid Engine requeue or hold a job; a command's own code must not.
GRID_ENGINE_ORDERS = (99, 100)
# path.sh is sourced in the command's shell, so its variables do not affect this process.
WITH_PATH = 'if [ -f ./path.sh ]; then . ./path.sh; fi; exec bash -o pipefail -c "$1"'


def main(spec_path, index):
    """Run the task at ``index`` of a spec of ``write_spec``; returns its exit status, as bash counts."""
    with open(spec_path) as file:
        spec = json.load(file)
    task = spec["tasks"][index]
    local = spec["dialect"] == "local"
    os.chdir(spec["directory"])
    attempt, mine = _claim(os.path.dirname(spec_path), f"{task}.{spec['run']}")
    log, command = (spec[key].replace(spec["mark"], str(task)) for key in ("log", "command"))
    _open_log(log, attempt)
    host = os.environ.get("SLURMD_NODENAME") or os.uname().nodename
    start, warned = time.time(), None
    _save(mine, "started", {"task": task, "attempt": attempt, "host": host, "start": start})
    if local:
        print(f"# {command}\n# Started at {_date()}\n#", flush=True)
    else:
        print(f"# Running on {host}\n# Started at {_date()}\n# {command}", flush=True)

    def terminate(number, frame):
        nonlocal warned
        warned = "SIGTERM"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)  # all processes of the command

    def warn(number, frame):
        nonlocal warned
        warned = "SIGUSR1"
        if child is not None:
            child.send_signal(signal.SIGUSR1)  # the command only, which may finish by itself

    child = None
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGUSR1, warn)
    child = subprocess.Popen(
        ["bash", "-o", "pipefail", "-c", *([command] if local else [WITH_PATH, "bash", command])],
        stdin=subprocess.DEVNULL,
    )
    code = child.wait()
    code = code if code >= 0 else 128 - code  # death by a signal, as bash counts
    signalled = code - 128 if 128 < code <= 192 else 0

    end = time.time()
    print(f"# Accounting: time={end - start:.0f} threads={spec['threads']}")
    if local:
        ended = f"code {code}; signal {signalled}" if signalled else f"code {code}"
        print(f"# Ended ({ended}) at {_date()}, elapsed time {end - start:.0f} seconds", flush=True)
    else:
        print(f"# Finished at {_date()} with status {code}", flush=True)
    result = {"task": task, "attempt": attempt, "code": code, "signal": signalled, "host": host}
    _save(mine, "result", {**result, "start": start, "end": end, "warned": warned})
    if code and warned == "SIGUSR1" and spec["requeue"]:  # warned of the time limit, and not finished
        return os.waitstatus_to_exitcode(os.system(spec["requeue"]))
    return 1 if code in GRID_ENGINE_ORDERS else code


def _claim(folder, name):
    """The attempt's number and its own directory; only one process can make a directory."""
    number = 1
    while True:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(folder, f"{name}.{number}"))
            return number, os.path.join(folder, f"{name}.{number}")
        number += 1


def _open_log(log, attempt):
    """Redirect output to LOG, a new file: a superseded attempt may still write to the old one."""
    os.makedirs(os.path.dirname(log) or ".", exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if attempt > 1:
            os.replace(log, f"{log}.attempt{attempt - 1}")
        else:
            os.unlink(log)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _save(folder, name, value):
    path = os.path.join(folder, name)
    with open(path + ".tmp", "w") as file:
        json.dump(value, file)
    os.replace(path + ".tmp", path)


def _date():
    return time.strftime("%a %b %e %H:%M:%S %Z %Y")


def write_spec(path, request, *, run, dialect, tasks, requeue=""):
    """Write the specification for ``main``, atomically.

    Args:
        path: of the file; its directory holds the attempts.
        request: the Request.
        run: name of this run of the launcher, part of the names of its attempts.
        dialect: "local" or "cluster": format of the log; on a cluster ./path.sh is sourced.
        tasks: {index as text: task number}.
        requeue: shell command that puts the running task back into the queue.
    """
    mark = "@JOB@"
    while mark in request.log + request.command:
        mark = f"@{mark}@"
    spec = {
        "directory": os.getcwd(),
        "run": run,
        "dialect": dialect,
        "mark": mark,
        "log": request.substituted(request.log, mark),
        "command": request.substituted(request.command, mark),
        "threads": request.threads,
        "requeue": requeue,
        "tasks": tasks,
    }
    _save(os.path.dirname(path), os.path.basename(path), spec)


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1]), sys.argv[2]))
