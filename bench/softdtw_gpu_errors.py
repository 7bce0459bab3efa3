"""Errors of soft-DTW on a CUDA card against float64, for softdtw_gpu.py."""

import torch
from softdtw_common import ACCURACY, costs, exact_alignment, frames

from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence

GAMMA = 0.1


def errors() -> list[dict]:
    """Largest |dE| and relative error of the loss against the float64 definition."""
    rows = []
    for batch, n, m, gamma, largest in ACCURACY:
        cost = costs(*frames(batch, n, m, 64), largest)
        exact, E = exact_alignment(cost, gamma)
        got = soft_alignment(cost=cost.cuda(), gamma=gamma).cpu().double()
        loss = soft_dtw(cost=cost.cuda(), gamma=gamma).cpu().double()
        error = (loss - exact).abs().max() / exact.abs().max()
        rows.append({"shape": [batch, n, m], "gamma": gamma, "largest_cost": largest,
                     "dE": (got - E).abs().max().item(), "dloss": error.item()})  # fmt: skip
    ragged = {"x_lengths": [130, 64, 1, 33], "y_lengths": [90, 65, 32, 1]}
    for name, cast in (("ragged divergence", torch.float32), ("ragged divergence, bfloat16", torch.bfloat16)):
        dgrad, got, exact = against_float64(soft_dtw_divergence, frames(4, 130, 90, 32), cast, **ragged)
        rows.append({"case": name, "dgrad": dgrad, "dloss": (got - exact).abs().max().item()})
    for n in (500, 1500):
        for cast in (torch.float32, torch.bfloat16):
            dgrad, got, exact = against_float64(soft_dtw, frames(1, n, n, 768), cast)
            rows.append({"case": f"whole loss, (1, {n}, {n}, 768), {cast}", "dgrad": dgrad,
                         "dloss": ((got - exact) / exact).abs().max().item()})  # fmt: skip
    cost = costs(*frames(2, 300, 200, 16)).cuda()
    cost[0, 5, 7] = float("nan")
    cost[1, :, 100] = float("inf")
    rows.append({"case": "NaN and no path left", "losses": [str(v) for v in soft_dtw(cost=cost).tolist()]})
    return rows


def against_float64(loss, inputs, cast: torch.dtype, **options) -> tuple[float, torch.Tensor, torch.Tensor]:
    """Largest error of the frames' gradient; the losses on the card, and in float64 on the CPU."""
    a = [t.to(cast).double().requires_grad_() for t in inputs]
    b = [t.to(cast).cuda().requires_grad_() for t in inputs]
    exact = loss(*a, gamma=GAMMA, **options)
    exact.sum().backward()
    torch.cuda.synchronize()  # the copies above were made on the default stream
    with torch.cuda.stream(torch.cuda.Stream()):
        got = loss(*b, gamma=GAMMA, **options)
        got.sum().backward()
        torch.cuda.current_stream().synchronize()
    grads = [(p.grad.cpu().double() - q.grad).abs().max().item() for p, q in zip(b, a, strict=True)]
    return max(grads), got.detach().cpu(), exact.detach()
