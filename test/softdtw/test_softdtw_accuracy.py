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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_costs_of_some_fifty_bits_keep_their_gradient(dtype):
    """A way back that multiplied what a cost had shrunk below the smallest float32 or float64 gave E = 0."""
    cost = torch.zeros(1, 30, 17, dtype=dtype)
    cost[0, 1:21, :16] = 3.573
    E = soft_alignment(cost=cost, gamma=0.1)
    assert E[0, 0, 0] == 1 and (E.sum(2) > 1 - 1e-5).all()
    x = (torch.tensor([0.0] + [1.805] * 20, dtype=dtype).reshape(1, 21, 1) + 0.1).requires_grad_()
    y = torch.tensor([0.0] * 16 + [1.805], dtype=dtype).reshape(1, 17, 1)
    soft_dtw(x, y, gamma=0.1).sum().backward()
    assert x.grad.abs().sum().item() == pytest.approx(7.2, rel=1e-4)
