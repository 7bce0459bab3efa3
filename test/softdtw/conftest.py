"""What the soft-DTW tests compare with: all paths one by one, the float64 definition, the bench inputs."""

import itertools
import math
import os
import runpy
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_posinv.softdtw.reference import forward_backward

ROOT = Path(__file__).parents[2]


@cache
def paths(n, m):
    """Every monotone path from (0, 0) to (n - 1, m - 1), as lists of cells."""
    if (n, m) == (1, 1):
        return [[(0, 0)]]
    found = []
    for i, j in ((n - 1, m - 1), (n - 1, m), (n, m - 1)):
        if i >= 1 and j >= 1:
            found += [[*path, (n - 1, m - 1)] for path in paths(i, j)]
    return found


def _brute_force(cost, gamma):
    """(loss, E) of one cost matrix by summing over all paths."""
    cost = np.asarray(cost, np.float64)
    each = paths(*cost.shape)
    sums = [math.fsum(cost[cell] for cell in path) for path in each]
    low, E = min(sums), np.zeros_like(cost)
    if low == math.inf:
        return low, E
    weights = [math.exp((low - s) / gamma) for s in sums]
    total = math.fsum(weights)
    for path, weight in zip(each, weights, strict=True):
        for cell in path:
            E[cell] += weight / total
    return low - gamma * math.log(total), E


def _exact(cost, gamma, x_lengths=None, y_lengths=None, band=None):
    """Losses (B,) and E (B, N, M) by the definition (`espnet_posinv.softdtw.reference`)."""
    batch, n, m = cost.shape
    x_lengths, y_lengths = x_lengths or [n] * batch, y_lengths or [m] * batch
    D = cost.detach().double().numpy()
    E = np.empty_like(D)
    band = -1 if band is None else band
    sizes = zip(x_lengths, y_lengths, strict=True)
    losses = [forward_backward(D[b], *size, gamma, band, 1.0, E[b]) for b, size in enumerate(sizes)]
    return torch.tensor(losses, dtype=torch.float64), torch.from_numpy(E)


@pytest.fixture(scope="session")
def brute_force():
    return _brute_force


@pytest.fixture(scope="session")
def exact():
    return _exact


@pytest.fixture(scope="session")
def bench():
    """Names of bench/softdtw_common.py: frames, costs, ACCURACY."""
    return runpy.run_path(str(ROOT / "bench" / "softdtw_common.py"))


@pytest.fixture(scope="session")
def run_python():
    """Run Python code in a process of its own, with changes to the environment; returns what it printed."""

    def run(code, cwd=ROOT, **env):
        command = [sys.executable, "-c", code]
        run = subprocess.run(
            command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=900
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    return run


@pytest.fixture(scope="session")
def in_band():
    """Whether a path may use cell (i, j) of an (n, m) problem: the band's formula, word by word."""

    def inside(i, j, n, m, band):
        return 2 * abs(i * (m - 1) - j * (n - 1)) <= max(2 * band, 1) * (max(n, m) - 1)

    return inside


@pytest.fixture(scope="session")
def random_costs():
    def costs(*shape, seed=0, dtype=torch.float32, largest=4.0):
        generator = torch.Generator().manual_seed(seed)
        return (largest * torch.rand(*shape, generator=generator, dtype=torch.float64)).to(dtype)

    return costs


def pytest_generate_tests(metafunc):
    if "small_size" in metafunc.fixturenames:
        metafunc.parametrize("small_size", itertools.product(range(1, 5), repeat=2), ids=str)
