"""Losses and gradients at structured costs (`structured.py`): a thousand cases, and marked slow 20,000."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espnet_posinv.softdtw import soft_dtw

STRUCTURED = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("structured.py"))))
EPS = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
BATCH = 50
NO_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_CARD)]


def solve(group: list, device: str):
    """Losses and E of cases with the same gamma, band and dtype, as one padded batch."""
    shape = [max(case.cost.shape[k] for case in group) for k in range(2)]
    cost = torch.full((len(group), *shape), torch.nan, dtype=group[0].dtype)  # padding is not read
    for b, case in enumerate(group):
        cost[b, : case.cost.shape[0], : case.cost.shape[1]] = torch.from_numpy(case.cost)
    lengths = [torch.tensor([case.cost.shape[k] for case in group], device=device) for k in range(2)]
    cost = cost.to(device).requires_grad_()
    options = {"gamma": group[0].gamma, "band": group[0].band}
    loss = soft_dtw(cost=cost, x_lengths=lengths[0], y_lengths=lengths[1], **options)
    (E,) = torch.autograd.grad(loss.sum(), cost)
    return loss.detach().cpu().double().numpy(), E.cpu().double().numpy()


def check(seed: int, count: int, device: str) -> None:
    """E within 2e-5; the loss within the rounding of its own steps, gamma 2^-24 each, and of its format."""
    for begin in range(0, count, BATCH):
        batch = STRUCTURED.cases(seed + begin, min(BATCH, count - begin))
        losses, alignments = STRUCTURED.reference(batch)
        for b, case in enumerate(batch):
            beside = batch[b - 1].cost  # another pair of the batch, of other lengths
            (loss, _), (E, _) = solve([case, replace(case, cost=beside)], device)
            n, m = case.cost.shape
            name = f"seed {seed + begin}, case {b}: {case.kind} {case.cost.shape}, gamma {case.gamma:g}, "
            name += f"band {case.band}, {case.dtype}, {device}"
            if device == "cuda" and np.isnan(loss):  # what its host would have to know of: `cuda/kernels.py`
                bits = 1.45 * np.abs(case.cost[np.isfinite(case.cost)]).max() / case.gamma
                assert case.dtype == torch.float32 and (bits > 2**20 or bits * (n + m) > 2**28), name
                continue
            if not np.isfinite(losses[b]):
                assert loss == np.inf and (E == 0).all(), name
                continue
            eps = EPS[case.dtype]
            bound = 2 * eps * abs(losses[b]) + case.gamma * (8 * (n + m) + 8) * eps + 1e-13 * abs(losses[b])
            assert abs(loss - losses[b]) <= bound, f"{name}: loss {loss}, right {losses[b]}"
            error = np.abs(E[:n, :m] - alignments[b, :n, :m]).max()
            assert error <= 2e-5, f"{name}: E errs by {error}"
            assert (E[n:] == 0).all() and (E[:, m:] == 0).all(), name


@pytest.mark.parametrize("device", DEVICES)
def test_a_thousand_structured_costs(device):
    check(0, 1000, device)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("part", range(20))  # side by side under pytest -n
def test_twenty_thousand_structured_costs(device, part):
    check(10**6 + 1000 * part, 1000, device)
