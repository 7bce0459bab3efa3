"""soft-DTW on the CPU: ours and the installed peers side by side in one process, on one thread.

    pip install --no-deps --target PEERS -r bench/requirements-softdtw.txt
    PYTHONPATH=PEERS python bench/softdtw_cpu.py [--rounds 15] [--parts dp first]

dp: costs -> loss -> gradient of the costs. All implementations take turns; a figure is the smallest CPU time
of the rounds, which other programs on the machine change less than elapsed time.  first: CPU seconds of a
process's first loss and gradient, with an empty cache and with a filled one.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import torch
from softdtw_common import costs, environment, frames, peers

from espnet_posinv.softdtw import soft_dtw

GAMMA = 0.1
SHAPES = [(8, 250, 250), (8, 500, 450), (4, 1000, 900), (1, 2000, 2000)]
SLOW_SECONDS = 2.0  # slower calls are measured once


def gradient(loss, cost):
    """Forward and backward pass."""
    leaf = cost.detach().requires_grad_()
    loss(leaf).sum().backward()


def smallest_ms(losses: dict, cost, rounds: int) -> dict[str, float | str]:
    """Milliseconds of each loss and its gradient, or its error."""
    best: dict[str, float | str] = {}
    for name, loss in losses.items():
        try:
            gradient(loss, cost)
        except Exception as error:
            best[name] = f"{type(error).__name__}: {error}"[:60]
    slow = set(best)
    for _ in range(rounds):
        for name in losses.keys() - slow:
            start = time.process_time()
            gradient(losses[name], cost)
            seconds = time.process_time() - start
            best[name] = min(best.get(name, float("inf")), 1e3 * seconds)
            if seconds > SLOW_SECONDS:
                slow.add(name)
    return {name: best[name] for name in losses}


def row(title: str, times: dict) -> None:
    cells = [
        t if isinstance(t, str) else f"{t:.2f}" if name == "ours" else f"{t:.1f} ({t / times['ours']:.1f})"
        for name, t in times.items()
    ]
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


FIRST = """
import time, torch
torch.set_num_threads(1)
from espnet_posinv.softdtw import soft_dtw
start = time.process_time()
soft_dtw(cost=torch.rand(2, 100, 90).requires_grad_()).sum().backward()
print(time.process_time() - start)
"""


def first_calls() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for what in ("an empty cache", "a filled cache"):
            command, env = [sys.executable, "-c", FIRST], {**os.environ, "NUMBA_CACHE_DIR": folder}
            run = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            print(f"first loss and gradient of a process, {what}: {float(run.stdout):.1f} CPU seconds")


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parts", nargs="+", choices=["dp", "first"], default=["dp", "first"])
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print({**environment(), "load": round(os.getloadavg()[0], 1)})
    if "dp" in options.parts:
        losses = {"ours": lambda c: soft_dtw(cost=c, gamma=GAMMA), **peers(GAMMA, "cpu")}
        print(
            f"\n| milliseconds (ratio to ours) | {' | '.join(losses)} |\n" + "|---" * (len(losses) + 1) + "|"
        )
        for shape in SHAPES:
            row(f"DP {shape}", smallest_ms(losses, costs(*frames(*shape, 64)), options.rounds))
    if "first" in options.parts:
        first_calls()


if __name__ == "__main__":
    main()
