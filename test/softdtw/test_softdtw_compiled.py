"""Compiled code: its cache, and the paths for processors other than this one."""

import os
import platform
import shutil
from pathlib import Path

import pytest

from espnet_posinv import softdtw

REPORT = """
import sys
sys.path.insert(0, "bench")
import torch
from softdtw_common import costs, exact_alignment, frames
from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence
x, y = frames(2, 150, 130, 16)
cost = costs(x, y)
for dtype in (torch.float32, torch.float64):
    for gamma in (1e-3, 0.1):
        loss, E = exact_alignment(cost, gamma)
        print((soft_alignment(cost=cost.to(dtype), gamma=gamma).double() - E).abs().max().item(),
              (soft_dtw(cost=cost.to(dtype), gamma=gamma).double() - loss).abs().max().item())
from espnet_posinv.softdtw.cpu import threads
for kernel in (threads.forward_strips, threads.backward_strips):
    (asm,) = [asm for kinds, asm in kernel.inspect_asm().items() if "float32" in str(kinds)]
    calls = [line for line in asm.splitlines() if "fma" in line and ("call" in line or "movabs" in line)]
    print("fma" if calls else "", *[name for name in ("zmm", "ymm") if name in asm])
"""
PROCESSORS = {
    "x86-64": ("x86-64", "+sse2,-avx,-fma"),
    "avx2": ("haswell", "+avx2,+fma,+avx,-avx512f"),
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64 processors")
@pytest.mark.parametrize("name", ["x86-64", pytest.param("avx2", marks=pytest.mark.slow)])
def test_other_processors(run_python, name):
    """The same accuracy, and without FMA no call into libm for each cell."""
    cpu, features = PROCESSORS[name]
    *errors, forward, backward = run_python(
        REPORT, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features
    ).splitlines()
    errors = [[float(number) for number in line.split()] for line in errors]
    assert all(gradient <= 5e-6 and loss <= 1e-4 for gradient, loss in errors[:2]), errors
    assert all(gradient <= 1e-12 and loss <= 1e-10 for gradient, loss in errors[2:]), errors
    assert {*forward.split(), *backward.split()} == ({"ymm"} if name == "avx2" else set())


CALL = """
import torch
from espnet_posinv.softdtw import soft_dtw
x = torch.ones(1, 5, 3, requires_grad=True)
soft_dtw(x, x.detach()).sum().backward()
"""


def test_the_cache_serves_the_next_process_until_a_source_changes(run_python, tmp_path):
    """numba itself would look at the file of a kernel only, not at those that are compiled into it."""
    package = tmp_path / "espnet_posinv"
    package.mkdir()
    (package / "__init__.py").touch()
    origin = softdtw.__path__[0]
    shutil.copytree(origin, package / "softdtw", ignore=shutil.ignore_patterns("__pycache__"))

    def saved_and_loaded():
        log = run_python(
            CALL, cwd=tmp_path, PYTHONPATH=str(tmp_path), NUMBA_DEBUG_CACHE="1", NUMBA_CACHE_DIR=""
        )
        assert str(package) in log
        return [log.count(f"data {what}") for what in ("saved to", "loaded from")]

    saved, _ = saved_and_loaded()
    functions = 3  # two kernels, which two threads may compile at the same time, and what judges
    assert saved >= functions
    assert saved_and_loaded() == [0, functions]
    with open(package / "softdtw" / "cpu" / "cells.py", "a") as source:
        source.write("# changed\n")
    assert saved_and_loaded()[0] >= functions


TINY = """
from espnet_posinv.softdtw.compiled import compiled

@compiled()
def plus(a, b):
    return a + b

@compiled()
def minus(a, b):
    return a - b
"""
USE = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from tiny import minus, plus
    print(plus(1, 2), minus(1, 2))
print(len(caught), *[w.message for w in caught])
"""


@pytest.fixture
def use(run_python, tmp_path):
    """Call two compiled functions of a module of their own in a process of their own; what it printed."""
    (tmp_path / "tiny.py").write_text(TINY)
    path = os.pathsep.join([str(tmp_path), str(Path(softdtw.__path__[0]).parents[1])])
    cache = str(tmp_path / "cache")

    def call(before=""):
        return run_python(before + USE, PYTHONPATH=path, NUMBA_CACHE_DIR=cache, NUMBA_DEBUG_CACHE="1")

    return call


def test_without_a_folder_that_can_be_written_it_compiles_and_says_so_once(use):
    """As where package and home are read-only; numba is told so, since root may write anywhere."""
    log = use("""
import tempfile
def refuse(*_, **__):
    raise OSError(30, "Read-only file system")
tempfile.TemporaryFile = refuse  # by which numba looks whether a folder can be written to
""")
    assert "3 -1\n1 soft-DTW: numba cannot cache its compiled code" in log and "set NUMBA_CACHE_DIR" in log


def test_a_full_disk_is_said_once_and_no_error(use):
    log = use("""
from numba.core.caching import FunctionCache
def full(*_):
    raise OSError(28, "No space left on device")
FunctionCache.save_overload = full
""")
    assert (
        "3 -1\n1 soft-DTW: numba cannot cache its compiled code" in log and "No space left on device" in log
    )


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_file_that_was_cut_off_is_made_anew(use, tmp_path, kept, suffix):
    """By a full disk or a killed process: an index or a data file, emptied or halved."""
    assert use().count("data saved to") == 2
    (path,) = (tmp_path / "cache").rglob(f"*plus*.{suffix}")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    log = use()
    assert log.count("data saved to") == 1 and "3 -1\n0\n" in log
    log = use()
    assert "data saved to" not in log and log.count("data loaded from") == 2
