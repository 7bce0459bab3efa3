"""Largest |dE| against the float64 definition, float32 costs: ours and the installed peers, on the CPU.

    PYTHONPATH=PEERS python bench/softdtw_accuracy.py        (bench/softdtw_cpu.py says how to install them)

E, the gradient of the loss by the costs, lies between 0 and 1.
"""

import torch
from bench_common import environment
from softdtw_common import ACCURACY, costs, exact_alignment, frames, peers

from espnet_posinv.softdtw import soft_dtw


def error(loss, cost: torch.Tensor, exact: torch.Tensor) -> str:
    leaf = cost.detach().requires_grad_()
    try:
        loss(leaf).sum().backward()
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"[:60]
    return f"{(leaf.grad.double() - exact).abs().max().item():.0e}"


def main():
    print(environment())
    names = ["ours", *peers(0.1, "cpu")]
    print(
        "| costs up to | (B, N, M) | gamma | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 3) + "|"
    )
    for batch, n, m, gamma, largest in ACCURACY:
        cost = costs(*frames(batch, n, m, 64), largest)
        _, E = exact_alignment(cost, gamma)
        losses = {"ours": lambda c, gamma=gamma: soft_dtw(cost=c, gamma=gamma), **peers(gamma, "cpu")}
        errors = " | ".join(error(loss, cost, E) for loss in losses.values())
        print(f"| {largest:g} | {(batch, n, m)} | {gamma:g} | {errors} |", flush=True)


if __name__ == "__main__":
    main()
