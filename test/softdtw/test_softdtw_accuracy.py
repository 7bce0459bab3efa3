"""Gradient errors on every row of the accuracy table (bench/softdtw_accuracy.py prints it)."""

import runpy
from pathlib import Path

import pytest
import torch

from espnet_posinv.softdtw import soft_alignment, soft_dtw

COMMON = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "softdtw_common.py"))


@pytest.mark.parametrize("row", COMMON["ACCURACY"], ids=str)
def test_float32_gradient(row):
    batch, n, m, gamma, largest = row
    cost = COMMON["costs"](*COMMON["frames"](batch, n, m, 64), largest)
    loss, E = COMMON["exact_alignment"](cost, gamma)
    assert (soft_alignment(cost=cost, gamma=gamma).double() - E).abs().max() <= 5e-6
    torch.testing.assert_close(
        soft_dtw(cost=cost, gamma=gamma).double(), loss, rtol=2e-7, atol=1e-6 * gamma * n
    )


def test_float64_gradient():
    cost = COMMON["costs"](*COMMON["frames"](1, 500, 450, 64), 100.0).double()
    for gamma in (1e-3, 0.1, 10.0):
        loss, E = COMMON["exact_alignment"](cost, gamma)
        assert (soft_alignment(cost=cost, gamma=gamma) - E).abs().max() <= 1e-12
        torch.testing.assert_close(soft_dtw(cost=cost, gamma=gamma), loss, rtol=1e-14, atol=1e-13)
