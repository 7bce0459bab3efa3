"""soft-DTW on the CPU: ours and the installed peers side by side in one process.

    pip install --no-deps --target PEERS -r bench/requirements-softdtw.txt
    PYTHONPATH=PEERS python bench/softdtw_cpu.py [--rounds 15] [--parts dp loss first]

All implementations take turns, on one thread; a figure is the smallest CPU time of the rounds, which other
programs on the machine change less than elapsed time.

dp: costs -> loss -> gradient of the costs.  loss: x -> loss -> dx, and the growth of a separate process's
peak memory.  first: CPU seconds of a process's first loss and gradient, with an empty and a filled cache.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import torch
from bench_common import environment, make_parser, peak_growth
from softdtw_common import costs, frame_peers, frames, peers

from espnet_posinv.softdtw import soft_dtw

GAMMA = 0.1
DP_SHAPES = [(8, 250, 250), (8, 500, 450), (4, 1000, 900), (1, 2000, 2000)]
LOSS_SHAPES = [(2, 500, 450, 768), (8, 250, 250, 64)]
PARTS = ["dp", "loss", "first"]
SLOW_SECONDS = 2.0  # slower calls are measured once


def gradient_of_first(loss, first, *others):
    """Forward and backward pass."""
    leaf = first.detach().requires_grad_()
    loss(leaf, *others).sum().backward()
    return leaf.grad


def smallest_ms(calls: dict, rounds: int) -> dict[str, float | str]:
    """Milliseconds of each call, or its error."""
    best, slow = {}, set()
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            best[name] = f"{type(error).__name__}: {error}"[:60]
    for _ in range(rounds):
        for name, call in calls.items():
            if name in slow or isinstance(best.get(name), str):
                continue
            start = time.process_time()
            call()
            seconds = time.process_time() - start
            best[name] = min(best.get(name, float("inf")), 1e3 * seconds)
            if seconds > SLOW_SECONDS:
                slow.add(name)
    return best


def row(title: str, times: dict, memory: dict | None = None) -> None:
    cells = []
    for name, value in times.items():
        text = value if isinstance(value, str) else f"{value:.2f}"
        if name != "ours" and not isinstance(value, str):
            text = f"{value:.1f} ({value / times['ours']:.1f})"
        cells.append(f"{text}, {memory[name]:.0f} MiB" if memory and name in memory else text)
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def dp_calls(shape) -> dict:
    cost = costs(*frames(*shape, 64))

    def call(loss):
        return lambda: gradient_of_first(loss, cost)

    losses = {"ours": lambda c: soft_dtw(cost=c, gamma=GAMMA), **peers(GAMMA, "cpu")}
    return {name: call(loss) for name, loss in losses.items()}


def loss_calls(shape) -> dict:
    x, y = frames(*shape)

    def call(loss):
        return lambda: gradient_of_first(loss, x, y)

    losses = {"ours": lambda a, b: soft_dtw(a, b, gamma=GAMMA), **frame_peers(GAMMA)}
    return {name: call(loss) for name, loss in losses.items()}


def peak_mib(name: str, shape) -> float:
    """Growth of the peak memory, measured in a separate process."""
    command = [sys.executable, __file__, "--memory-of", name, "--shape", *map(str, shape)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-300:], file=sys.stderr)
    return float(run.stdout.split()[-1]) if run.returncode == 0 else float("nan")


def report_memory(name: str, shape) -> None:
    """Print the growth of this process's peak memory in one whole loss, after a small one that compiles."""
    loss_calls((1, 8, 8, 8))[name]()
    print(peak_growth(loss_calls(shape)[name]))


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
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure (all)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=int, nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    if options.memory_of:
        report_memory(options.memory_of, options.shape)
        return
    print({**environment(), "load": round(os.getloadavg()[0], 1)})
    names = list(dp_calls((1, 4, 4)))
    header = f"\n| milliseconds (ratio to ours) | {' | '.join(names)} |\n" + "|---" * (len(names) + 1) + "|"
    if "dp" in options.parts:
        print(header)
        for shape in DP_SHAPES:
            row(f"DP {shape}", smallest_ms(dp_calls(shape), options.rounds))
    if "loss" in options.parts:
        print(header)
        for shape in LOSS_SHAPES:
            calls = loss_calls(shape)
            times = smallest_ms(calls, options.rounds)
            times = {name: times.get(name, "no loss of frames") for name in names}
            memory = {name: peak_mib(name, shape) for name in calls if not isinstance(times[name], str)}
            row(f"whole loss {shape}", times, memory)
    if "first" in options.parts:
        first_calls()


if __name__ == "__main__":
    main()
