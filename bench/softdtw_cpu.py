"""soft-DTW on the CPU: ours and the installed peers side by side in one process, and what the limit would be.

    pip install --no-deps --target PEERS -r bench/requirements-softdtw.txt
    PYTHONPATH=PEERS python bench/softdtw_cpu.py [--rounds 15]

All take turns; a figure is the smallest of the rounds.  With one thread it is CPU time of the process, which
other programs on the machine hardly change; with all threads it is elapsed time, and wants a quiet machine
(the load is printed).  "DP": costs -> loss -> gradient of the costs.  "Whole loss": x -> loss -> dx.  Memory
is what one whole loss adds to the peak of a process of its own.

Limit: cells times 1.3 ns for the DP (about 42 vector instructions for 16 cells forwards, 25 backwards, at one
512-bit instruction per cycle of 3.2 GHz), and the FLOPs of the matrix products (costs, dx) over the rate of
torch.bmm at the same shape.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import torch
from softdtw_common import costs, environment, frame_peers, frames, peers

from espnet_posinv.softdtw import soft_dtw

GAMMA = 0.1
DP_SHAPES = [(8, 250, 250), (8, 500, 450), (4, 1000, 900), (1, 2000, 2000)]
LOSS_SHAPES = [(2, 500, 450, 768), (8, 250, 250, 64)]
CELL_NS = 1.3
SLOW_SECONDS = 2.0  # who takes longer is measured once


def gradient_of_first(loss, first, *others):
    """Forward and backward pass."""
    leaf = first.detach().requires_grad_()
    loss(leaf, *others).sum().backward()
    return leaf.grad


def smallest_ms(calls: dict, rounds: int, clock) -> dict[str, float]:
    """Milliseconds of each call, or why it has none."""
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
            start = clock()
            call()
            seconds = clock() - start
            best[name] = min(best.get(name, float("inf")), 1e3 * seconds)
            if seconds > SLOW_SECONDS:
                slow.add(name)
    return best


def row(title: str, times: dict, limit: float | None, memory: dict | None = None) -> None:
    ours = times["ours"]
    cells = [f"{ours:.2f}"]
    if limit is not None:
        cells += [f"{limit:.2f}", f"{ours / limit:.2f}"]
    for name, value in times.items():
        if name == "ours":
            continue
        text = value if isinstance(value, str) else f"{value:.1f} ({value / ours:.1f})"
        if memory and name in memory:
            text += f", {memory[name]:.0f} MiB"
        cells.append(text)
    if memory:
        cells[0] += f", {memory['ours']:.0f} MiB"
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


def limit_ms(shape, rounds: int) -> float:
    batch, n, m, *width = shape
    limit = 1e-6 * CELL_NS * batch * n * m
    if width:
        x, y = frames(*shape)
        product = smallest_ms({"bmm": lambda: torch.bmm(x, y.mT)}, rounds, time.process_time)["bmm"]
        limit += 2 * product  # costs, and dx
    return limit


def peak_mib(name: str, shape) -> float:
    """Asked of a process of its own."""
    command = [sys.executable, __file__, "--memory-of", name, "--shape", *map(str, shape)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-300:], file=sys.stderr)
    return float(run.stdout.split()[-1]) if run.returncode == 0 else float("nan")


def report_memory(name: str, shape) -> None:
    """Growth of this process's peak over one whole loss; a small one compiles first."""
    loss_calls((1, 8, 8, 8))[name]()
    call = loss_calls(shape)[name]
    Path("/proc/self/clear_refs").write_text("5")  # Linux forgets the peak so far
    before = high_water_mark()
    call()
    print(high_water_mark() - before)


def high_water_mark() -> float:
    (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=int, nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    if options.memory_of:
        report_memory(options.memory_of, options.shape)
        return
    print({**environment(), "load": round(os.getloadavg()[0], 1)})
    names = [name for name in dp_calls((1, 4, 4)) if name != "ours"]
    header = f"| milliseconds (ratio to ours) | ours | limit | ours / limit | {' | '.join(names)} |\n"
    print("\nOne thread\n\n" + header + "|---" * (len(names) + 4) + "|")
    for shape in DP_SHAPES:
        times = smallest_ms(dp_calls(shape), options.rounds, time.process_time)
        row(f"DP {shape}", times, limit_ms(shape, options.rounds))
    for shape in LOSS_SHAPES:
        calls = loss_calls(shape)
        times = smallest_ms(calls, options.rounds, time.process_time)
        times = {name: times.get(name, "no loss of frames") for name in ["ours", *names]}
        memory = {name: peak_mib(name, shape) for name in calls if not isinstance(times[name], str)}
        row(f"whole loss {shape}", times, limit_ms(shape, options.rounds), memory)

    threads = min(os.cpu_count(), numba.config.NUMBA_NUM_THREADS)
    print(f"\n{threads} threads, elapsed time; load {os.getloadavg()[0]:.1f}\n")
    print(
        f"| milliseconds (ratio to ours) | ours | {' | '.join(names)} |\n" + "|---" * (len(names) + 2) + "|"
    )
    for shape in DP_SHAPES:
        torch.set_num_threads(threads)
        numba.set_num_threads(threads)
        row(f"DP {shape}", smallest_ms(dp_calls(shape), options.rounds, time.perf_counter), None)
    call = dp_calls((1, 2000, 2000))["ours"]

    def with_threads(count):
        torch.set_num_threads(count)
        call()

    calls = {str(count): lambda count=count: with_threads(count) for count in sorted({1, 2, threads})}
    best = smallest_ms(calls, 5 * options.rounds, time.perf_counter)
    ratios = ", ".join(f"{count} threads {best['1'] / ms:.2f}" for count, ms in best.items())
    print(f"\nours, DP (1, 2000, 2000), elapsed time of one thread over that of more: {ratios}")


if __name__ == "__main__":
    main()
