"""What one fine-tuning step costs with each criterion, part by part, and the authors' way beside it.

    python bench/training_step.py --upstream whisper:FOLDER                # the mini recipe's step, CPU
    python bench/training_step.py --device cuda --upstream random:base     # sizes of HuBERT-base

Criterions take turns within one process; the figures are medians of the rounds, on the CPU in time of one
thread.  "At once" is the step without waiting for the device between its parts, as training runs it.
"Authors' way" stands for the published code of the method's authors (SCORE, LASER): one utterance at a time,
soft-DTW on the CPU by log-domain numba loops over the cells, for the pair and twice more for the divergence;
here with our encoder and enhancer around it, so that nothing but batching and soft-DTW differs.
"""

import argparse
import subprocess
import sys
import time
from collections import defaultdict
from statistics import median

import numpy as np
import torch
from authors_way import one_by_one
from bench_common import cuda_growth, make_parser, peak_growth, random_hubert

from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
from espnet_posinv.enh.nsnet2 import NSNet2Separator
from espnet_posinv.perturb.speed import Speed
from espnet_posinv.ssl import load_encoder

CRITERIONS = {"ssl_mse": SSLMSELoss, "ssl_mse_pad": SSLMSEPadLoss, "ssl_softdtw": SSLSoftDTWLoss}
PARTS = ("enhance", "ssl clean", "ssl enhanced", "loss", "backward", "optimizer")


class Clock:
    """Seconds by part, for each of which a device finishes its work; or only when the clock is read."""

    def __init__(self, device, by_part=True):
        self.device, self.parts, self.last, self.by_part = device, defaultdict(float), 0.0, by_part

    def now(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()  # of one thread: what else runs on the machine does not count

    def start(self):
        self.last = self.now()

    def stop(self, part):
        if not self.by_part:
            return
        now = self.now()
        self.parts[part] += now - self.last
        self.last = now


class TimedEncoder(torch.nn.Module):
    """The encoder of a criterion, its two calls told apart by whether they record a graph."""

    def __init__(self, encoder, clock):
        super().__init__()
        self.encoder, self.clock = encoder, clock
        self.hop, self.frame_lengths = encoder.hop, encoder.frame_lengths

    def forward(self, *args):
        self.clock.stop("loss")
        out = self.encoder(*args)
        self.clock.stop("ssl enhanced" if torch.is_grad_enabled() else "ssl clean")
        return out


def make_encoder(args, device):
    options = {"dtype": args.ssl_dtype, "recompute": args.recompute}
    if args.upstream == "random:base":
        return random_hubert(**options).to(device)
    return load_encoder(args.upstream, **options).to(device)


def step(name, model, optimizer, encoder, mix, ref, device, by_part=True):
    """One optimisation step; returns seconds by part, or of the step as a whole, as training runs it."""
    clock = Clock(device, by_part)
    clock.start()
    lengths = torch.full((len(mix),), mix.shape[1], device=device)
    optimizer.zero_grad()
    if name == "authors' way":
        speeds = Speed()
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        for b in range(len(mix)):
            enhanced = model(mix[b : b + 1], lengths[b : b + 1])[0][0]
            clock.stop("enhance")
            timed = TimedEncoder(encoder, clock)
            value = one_by_one(timed, ref[b : b + 1], enhanced, [speeds.draw(rng)]) / len(mix)
            clock.stop("loss")
            value.backward()
            clock.stop("backward")
    else:
        enhanced = model(mix, lengths)[0][0]
        clock.stop("enhance")
        criterion = CRITERIONS[name]("whisper:given")
        criterion._encoders[enhanced.device] = TimedEncoder(encoder, clock)
        value = criterion(ref, enhanced, lengths).mean()
        clock.stop("loss")
        value.backward()
        clock.stop("backward")
    optimizer.step()
    clock.stop("optimizer")
    if not by_part:
        clock.parts["whole"] = clock.now() - clock.last
    return clock.parts


def setup(args):
    device = torch.device(args.device)
    torch.manual_seed(0)
    encoder = make_encoder(args, device)
    model = NSNet2Separator(1).to(device)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    samples = int(args.seconds * 16000)
    ref = 0.1 * torch.randn(args.batch, samples, device=device)
    return model, optimizer, encoder, ref + 0.05 * torch.randn_like(ref), ref, device


def peak_memory(args, name):
    """MiB that one step adds: on CUDA what the allocator counts; else a process of its own is asked."""
    if args.device == "cpu":
        command = [sys.executable, __file__, "--memory-of", name, "--upstream", args.upstream]
        command += ["--batch", str(args.batch), "--seconds", str(args.seconds), "--ssl-dtype", args.ssl_dtype]
        command += ["--recompute"] * args.recompute
        return float(subprocess.check_output(command, text=True))
    state = setup(args)
    step(name, *state)
    return cuda_growth(lambda: step(name, *state))


def report_memory(args):
    """Growth of this process's peak over a step; half a second of one utterance compiles and plans first."""
    *state, mix, ref, device = setup(args)
    step(args.memory_of, *state, mix[:1, :8000], ref[:1, :8000], device)
    print(peak_growth(lambda: step(args.memory_of, *state, mix, ref, device)))


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--upstream", default="random:base", help="as in the criterions, or random:base")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="utterances a step (8)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of an utterance (4)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (5); one more warms up")
    parser.add_argument("--ssl-dtype", default="float32")
    parser.add_argument("--recompute", action="store_true", help="activation checkpointing in the encoder")
    parser.add_argument("--no-authors", action="store_true", help="leave the authors' way out")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.memory_of:
        report_memory(args)
        return
    state = setup(args)
    names = [*CRITERIONS] + ["authors' way"] * (not args.no_authors)
    seconds = {name: defaultdict(list) for name in names}
    for round_ in range(args.rounds + 1):
        for name in names:
            parts = step(name, *state)
            if round_:
                for part in PARTS:
                    seconds[name][part].append(parts[part])
                seconds[name]["total"].append(sum(parts.values()))
                seconds[name]["whole"].append(step(name, *state, by_part=False)["whole"])
    print(
        f"{state[2].label}, NSNet2, {args.batch} x {args.seconds:g} s, {args.device}, "
        f"medians of {args.rounds} rounds"
    )
    print("| milliseconds | " + " | ".join(PARTS) + " | total | at once | MiB | MiB per second of audio |")
    print("|---|" + "---|" * (len(PARTS) + 4))
    total = {}
    for name in names:
        cells = [f"{1000 * median(seconds[name][part]):.1f}" for part in PARTS]
        total[name] = median(seconds[name]["total"])
        memory = peak_memory(args, name)
        whole = median(seconds[name]["whole"])
        cells += [
            f"{1000 * total[name]:.1f}",
            f"{1000 * whole:.1f}",
            f"{memory:.0f}",
            f"{memory / args.batch / args.seconds:.1f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for column, text in (("total", "SSL-SoftDTW / SSL-MSE"), ("whole", "the same, steps at once")):
        both = zip(seconds["ssl_softdtw"][column], seconds["ssl_mse"][column], strict=True)
        print(f"{text}: {median(s / m for s, m in both):.3f}")
    for name in ("ssl_mse", "ssl_softdtw"):
        share = median(seconds[name]["ssl clean"]) / total[name]
        print(f"the clean references' encoding, which can be stored: {share:.0%} of {name}'s step")
    if not args.no_authors:
        print(f"authors' way / SSL-SoftDTW: {total[names[-1]] / total['ssl_softdtw']:.2f}")


if __name__ == "__main__":
    main()
