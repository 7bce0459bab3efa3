"""How many tasks fit on this machine."""

import os
import subprocess
import sys

import pytest

from espnet_posinv.launch import resources
from espnet_posinv.launch.request import UsageError


@pytest.mark.parametrize(
    "text, size",
    [
        ("2G", 2 << 30),
        ("500M", 500 << 20),
        ("1.5g", 3 << 29),
        ("100K", 102400),
        ("1T", 1 << 40),
        ("7", 7),
        ("2GB", 2 << 30),
    ],
)
def test_memory_sizes(text, size):
    assert resources.parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "G", "2X", "-1G", "2 G"])
def test_wrong_memory_sizes(text):
    with pytest.raises(UsageError, match="must be a number with K, M, G or T"):
        resources.parse_memory(text)


@pytest.mark.parametrize(
    "cores, memory, mem, threads, jobs",
    [
        (8, 32 << 30, None, 1, 8),
        (8, 32 << 30, 2 << 30, 1, 8),
        (8, 32 << 30, 10 << 30, 1, 3),
        (8, 32 << 30, 64 << 30, 1, 1),  # let it try, rather than run nothing
        (8, 32 << 30, None, 3, 2),
        (8, 32 << 30, None, 16, 1),
        (8, None, 10 << 30, 1, 8),  # unknown memory
    ],
)
def test_sensible_jobs(monkeypatch, cores, memory, mem, threads, jobs):
    monkeypatch.setattr(resources, "cores", lambda: cores)
    monkeypatch.setattr(resources, "memory", lambda: memory)
    assert resources.sensible_jobs(mem, threads) == jobs


def test_cores_are_those_that_the_process_may_use():
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, {{{one}}})"
    code += "; from espnet_posinv.launch.resources import cores; print(cores())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"


def test_memory_of_this_machine():
    """No more than the kernel calls available, give or take what changed since."""
    with open("/proc/meminfo") as file:
        values = dict(line.split(":") for line in file)
    total, available = (int(values[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    assert 0 < resources.memory() <= min(total, available + (2 << 30))


def test_control_group_limits_count(monkeypatch):
    files = {"memory.max": str(4 << 30), "memory.current": str(1 << 30), "cpu.max": "150000 100000"}
    monkeypatch.setattr(resources, "_first_line", lambda path: files.get(path.rpartition("cgroup/")[2], ""))
    assert resources.cores() == 1
    assert resources.memory() <= 3 << 30


def test_command_line():
    command = [sys.executable, "-m", "espnet_posinv", "nj"]
    assert int(subprocess.check_output(command)) == resources.cores()
    assert subprocess.check_output([*command, "--mem", "900T"]) == b"1\n"
    assert subprocess.run([*command, "--mem", "much"], capture_output=True).returncode == 1
