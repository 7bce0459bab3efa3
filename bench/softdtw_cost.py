"""What soft-DTW costs: time and memory against N, M, batch and D, and its shares of a training step.

    python bench/softdtw_cost.py                          # CPU, time of one thread
    python bench/softdtw_cost.py --device cuda --upstream random:base

Each sweep changes one size and leaves the others; the exponent is the slope of the least-squares line through
the logarithms of size and cost (1: linear).  The divergence of frames X that need a gradient and Y that need
none, forward and backward, as the criterion computes it.  Memory is the peak that a pass, or a step, adds to
what is there before it: a step peaks in its encoder, so that a share of memory says how large soft-DTW's own
peak is beside that, not what could be saved.
"""

from statistics import median

import numpy as np
import torch
from bench_common import cuda_growth, make_parser
from training_step import Clock, setup, step

from espnet_posinv.enh.memory import MIB, PeakBytes
from espnet_posinv.softdtw import soft_dtw_divergence

BASE = {"batch": 8, "N": 250, "M": 250, "D": 256}
SWEEPS = {
    "N": (125, 250, 500, 1000),
    "M": (125, 250, 500, 1000),
    "N = M": (125, 250, 500, 1000),
    "batch": (2, 4, 8, 16),
    "D": (64, 256, 768, 1024),
}
GPU = 4  # times N, M and batch: smaller ones are over before the host has launched them


def loss_and_gradient(x, y):
    """One forward and backward pass of the divergence."""
    x.grad = None
    soft_dtw_divergence(x, y, gamma=0.1, normalize_frames=True).sum().backward()


def frames(sizes, device):
    """Random X (batch, N, D), which needs a gradient, and Y (batch, M, D)."""
    shape = [(sizes["batch"], sizes[n], sizes["D"]) for n in "NM"]
    x, y = (torch.randn(s, device=device) for s in shape)
    return x.requires_grad_(), y


def seconds(x, y, device, rounds):
    """Median time of a pass; one more warms up."""
    times = []
    for _ in range(rounds + 1):
        clock = Clock(device)
        clock.start()
        loss_and_gradient(x, y)
        clock.stop("loss")
        times.append(clock.parts["loss"])
    return median(times[1:])


def mebibytes(device, work, *args):
    """Peak memory that a call adds."""
    if device.type == "cuda":
        return cuda_growth(lambda: work(*args))
    with PeakBytes() as counter:
        work(*args)
    return counter.peak / MIB


def exponent(sizes, costs):
    """Slope in logarithms."""
    return np.polyfit(np.log(sizes), np.log(costs), 1)[0]


def sweep(device, rounds):
    """The tables of time and memory."""
    larger = dict.fromkeys(("N", "M", "N = M", "batch"), GPU if device.type == "cuda" else 1)
    base = {name: size * larger.get(name, 1) for name, size in BASE.items()}
    others = ", ".join(f"{key} {value}" for key, value in base.items())
    print(f"soft-DTW divergence, forward and backward, {device}; others at {others}")
    print("| changed | sizes | milliseconds | exponent | MiB | exponent |\n|---|---|---|---:|---|---:|")
    for name, sizes in SWEEPS.items():
        sizes = [size * larger.get(name, 1) for size in sizes]
        times, memory = [], []
        for size in sizes:
            x, y = frames({**base, **dict.fromkeys(name.split(" = "), size)}, device)
            times.append(seconds(x, y, device, rounds))
            memory.append(mebibytes(device, loss_and_gradient, x, y))
        cells = [", ".join(map(str, sizes)), ", ".join(f"{1000 * t:.1f}" for t in times)]
        cells += [f"{exponent(sizes, times):.2f}", ", ".join(f"{m:.1f}" for m in memory)]
        print(f"| {name} | {' | '.join(cells)} | {exponent(sizes, memory):.2f} |", flush=True)


def share(args, device):
    """How much of a step is soft-DTW, at several lengths of utterances."""
    rows = []
    for length in args.step_seconds:
        args.seconds = length
        state = setup(args)
        encoder = state[2]
        with torch.no_grad():
            feats, _ = encoder(state[4][:1])
        sizes = {"batch": args.batch, "N": feats.shape[1], "M": feats.shape[1], "D": feats.shape[2]}
        x, y = frames(sizes, device)
        whole = [sum(step("ssl_softdtw", *state).values()) for _ in range(args.rounds + 1)]
        time = seconds(x, y, device, args.rounds), median(whole[1:])
        memory = mebibytes(device, loss_and_gradient, x, y), mebibytes(device, step, "ssl_softdtw", *state)
        rows.append((length, sizes, time, memory))
    print(f"\nin a step with {encoder.label} and NSNet2, batch {args.batch}, {device}")
    print("| seconds | N | D | step, ms | soft-DTW, ms | share | step, MiB | soft-DTW, MiB | share |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for length, sizes, time, memory in rows:
        cells = [f"{length:g}", str(sizes["N"]), str(sizes["D"])]
        cells += [f"{1000 * time[1]:.0f}", f"{1000 * time[0]:.1f}", f"{time[0] / time[1]:.1%}"]
        cells += [f"{memory[1]:.0f}", f"{memory[0]:.1f}", f"{memory[0] / memory[1]:.1%}"]
        print(f"| {' | '.join(cells)} |")


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--upstream", default="random:base", help="as in the criterions, or random:base")
    parser.add_argument("--batch", type=int, default=8, help="utterances of the step (8)")
    parser.add_argument("--step-seconds", type=float, nargs="*", default=[2, 4, 8], help="lengths (2 4 8)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (3); one more warms up")
    parser.add_argument("--ssl-dtype", default="float32")
    parser.add_argument("--recompute", action="store_true", help="activation checkpointing in the encoder")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    device = torch.device(args.device)
    torch.manual_seed(0)
    sweep(device, args.rounds)
    if args.step_seconds:
        share(args, device)


if __name__ == "__main__":
    main()
