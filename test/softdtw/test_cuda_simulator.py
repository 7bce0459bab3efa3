"""Runs simulated_cuda.py in a process of its own: numba reads NUMBA_ENABLE_CUDASIM when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run_cases(marked):
    cases = Path(__file__).with_name("simulated_cuda.py")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", marked, str(cases)]
    env = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=3600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "skipped" not in run.stdout, run.stdout


def test_cuda_kernels_in_the_simulator():
    run_cases("not slow")


@pytest.mark.slow
def test_cuda_kernels_in_the_simulator_at_more_sizes():
    run_cases("slow")
