"""Two runs in one folder: the second stops and says who holds it; a full disk is called one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = f"""python={sys.executable} expdir=exp dumpdir=dump datadir=data stage=1 stop_stage=1
. {ROOT}/utils/stage.sh
"""


def start(folder, script):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", HEAD + script, "run.sh"],
        cwd=folder,
        text=True,
        env=env,
        **pipes,
    )


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_second_run_stops_with_the_holder(tmp_path):
    first = start(tmp_path, "alone exp; touch held; read -r _ < fifo || true")
    os.mkfifo(tmp_path / "fifo")
    try:
        wait_for(tmp_path / "held")
        for mode in ("", " --shared"):
            out, err = start(tmp_path, f"alone exp{mode}; echo mine").communicate(timeout=60)
            assert (
                out == "" and f"another run works in exp: process {first.pid} on {os.uname().nodename}" in err
            )
    finally:
        first.kill()
    first.wait()
    assert start(tmp_path, "alone exp; echo mine").communicate(timeout=60)[0] == "mine\n"


def test_trainings_of_one_experiment_may_share_its_folder(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    first = start(tmp_path, "alone exp --shared; touch held; read -r _ < fifo || true")
    try:
        wait_for(tmp_path / "held")
        assert start(tmp_path, "alone exp --shared; echo mine").communicate(timeout=60)[0] == "mine\n"
        assert "another run works in exp" in start(tmp_path, "alone exp").communicate(timeout=60)[1]
    finally:
        first.kill()


def test_jobs_of_a_killed_run_are_waited_for(tmp_path):
    first = start(tmp_path, "alone exp; sleep 300 & echo $! > job.tmp; mv job.tmp job; wait")
    wait_for(tmp_path / "job")
    first.kill()
    first.wait()
    second = start(tmp_path, "alone exp; echo mine")
    time.sleep(1.5)
    assert second.poll() is None
    os.kill(int((tmp_path / "job").read_text()), 9)
    assert second.communicate(timeout=60)[0] == "mine\n"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.5 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


FILL = "alone exp; head -c 2000000 /dev/zero > exp/audio; exit 1"
BROKEN = (
    "alone exp; mkdir -p exp/log; echo 'OSError: [Errno 122] Disk quota exceeded' > exp/log/1.log; exit 1"
)


def test_full_disk_is_called_so(small_disk):
    err = start(small_disk, FILL).communicate(timeout=60)[1]
    assert "the disk is full (exp: " in err and "make room and run again, what is done is kept" in err


def test_quota_that_only_a_log_tells_of_is_called_so(tmp_path):
    err = start(tmp_path, f"sleep 0.1; {BROKEN}").communicate(timeout=60)[1]
    assert "the disk is full (see exp/log/1.log)" in err
    assert "full" not in start(tmp_path, "alone exp; exit 1").communicate(timeout=60)[1]


def test_a_file_that_does_not_fit_is_told_as_a_full_disk(small_disk):
    """Whatever the library that writes it says; here it says nothing of the disk."""
    code = (
        "import sys\nfrom espnet_posinv.files import replacing\n"
        "with replacing('x') as path:\n"
        "    try:\n        path.write_bytes(bytes(2000000))\n"
        "    except OSError:\n        raise RuntimeError('unexpected pos 64 vs 0') from None\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=small_disk, capture_output=True, text=True, env=env
    )
    assert "OSError: [Errno 28] the disk is full (unexpected pos 64 vs 0): 'x'" in done.stderr.replace(
        str(small_disk) + "/", ""
    )
    assert not list(small_disk.iterdir())
