"""utils/stage.sh: commands beside each other end with the run, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
python={python} expdir=exp stage=1 stop_stage=1
. {root}/utils/stage.sh
command() {{ sh -c 'echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 300'; }}
beside 2 command
beside 2 true
all_done
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_runs_beside_ends_with_the_run(tmp_path, number):
    script = SCRIPT.format(python=sys.executable, root=ROOT)
    # What a shell finds ignored it cannot trap, and whoever runs the tests may ignore signals (nohup).
    heeded = {"preexec_fn": lambda: number == signal.SIGKILL or signal.signal(number, signal.SIG_DFL)}
    run = subprocess.Popen(["bash", "-eu", "-c", script], cwd=tmp_path, start_new_session=True, **heeded)
    try:
        pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        os.killpg(run.pid, number)
        assert run.wait(20) == (-9 if number == signal.SIGKILL else 128 + number)
        wait_for(lambda: not alive(pid))
    finally:
        run.kill()


def test_the_watch_over_the_run_ends_with_the_command(tmp_path):
    script = SCRIPT.format(python=sys.executable, root=ROOT).replace("beside 2 command", "beside 2 sleep 0.1")
    done = subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 0 and not done.stderr  # its pipe is closed: nobody holds it any more
    failing = script.replace("beside 2 true", "beside 2 false")
    assert subprocess.run(["bash", "-eu", "-c", failing], cwd=tmp_path, timeout=60).returncode == 1


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return value


def alive(pid):
    """Whether a process runs; one that has ended but was not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
