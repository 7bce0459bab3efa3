"""Cores, memory and GPUs of this machine, and how many tasks it should run at a time."""

import glob
import os
import re

from .request import UsageError

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_memory(text):
    """``500M``, ``2G``, ``1.5G`` as bytes; raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", text.upper())
    if match is None:
        raise UsageError(f"--mem {text}: must be a number with K, M, G or T, for instance 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def cores():
    """Processor cores that this process may use: affinity, and the quota of its control group."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _first_line("/sys/fs/cgroup/cpu.max").split()
    if not quota:
        quota = [_first_line(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        count = min(count, max(1, int(quota[0]) // int(quota[1])))
    return count


def memory():
    """Bytes of memory available now, within the limit of this control group; None if unknown."""
    available = None
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    available = int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, used = (_first_line(f"/sys/fs/cgroup/{name}") for name in (limit, used))
        if limit.isdigit() and used.isdigit():
            free = max(0, int(limit) - int(used))
            available = free if available is None else min(available, free)
    return available


def gpus():
    """Names of the GPUs that tasks may use, as CUDA_VISIBLE_DEVICES would list them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    return [str(i) for i in range(len(glob.glob("/dev/nvidia[0-9]*")))]


def sensible_jobs(mem=None, threads=1):
    """How many tasks of ``threads`` cores and ``mem`` bytes fit on this machine at a time, at least 1."""
    jobs = cores() // threads
    available = memory()
    if mem and available is not None:
        jobs = min(jobs, available // mem)
    return max(1, jobs)


def _first_line(path):
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""
