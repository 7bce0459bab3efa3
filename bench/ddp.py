"""Fine-tuning on several GPUs of one host through ESPnet's own multi-GPU path: is it right, does it scale?

    python bench/ddp.py --out ddp.json                                     # 1, 2, 4 ... of the GPUs there are
    python bench/ddp.py --cpu --counts 1,2 --tiny --upstream transformers:FOLDER --out ddp.json    # gloo

Demucs (hidden 64, arXiv 2006.12847) learns from SSL-SoftDTW and from SSL-MSE with an encoder of HuBERT-base's
sizes and random weights; the audio is synthetic.  For each number N of GPUs:

- losses: every step of the first epoch on N GPUs equals that of one GPU with the same global batch (sums in
  another order round otherwise, and an optimiser makes that grow from step to step: see the later epochs);
- draws: an utterance's speed in an epoch is the same on 1 and N GPUs and after a restart, other in another
  epoch, and the ranks' sequences differ;
- resume: one rank is killed (-9) in the last epoch; run again, the training repeats that epoch's steps;
- scaling: seconds of audio per second on N GPUs over N times those on one, with the same batch on each GPU.

TF32 is off, so that fp32 means it.  A part that fails is named and does not keep the others from running.
"""

import json
import tempfile
import time
import traceback
from pathlib import Path

import torch
from bench_common import environment, make_parser
from ddp_notes import PARTS, deviation
from ddp_trainings import CRITERIONS, EPOCHS, Trainings

TOLERANCE = 1e-4
GOALS = {2: 0.92, 8: 0.85}  # of the scaling efficiency


class Bench(Trainings):
    """The checks of the trainings, each a part that may fail."""

    def __init__(self, args, work: Path):
        super().__init__(args, work)
        self.parts = []

    def part(self, name: str, check) -> None:
        """Run a check that returns its numbers, "ok" among them or else true; say how it went."""
        try:
            result = {"part": name, "ok": True, **(check() or {})}
        except Exception as error:
            if not isinstance(error, RuntimeError | TimeoutError):
                traceback.print_exc()
            result = {"part": name, "ok": False, "error": f"{type(error).__name__}: {error}"}
        self.parts.append(result)
        numbers = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in result.items()
                            if k not in ("part", "ok"))  # fmt: skip
        print(f"{'ok    ' if result['ok'] else 'FAILED'} {name}: {numbers}", flush=True)

    def losses(self, criterion, n):
        reference, got = self.notes(criterion, 1, n), self.notes(criterion, n, n)
        if criterion == "ssl_mse" and got.complete.keys() != reference.complete.keys():
            raise RuntimeError(f"{len(got.complete)} steps of {len(reference.complete)}")
        by_epoch = [deviation(got, reference, epoch) for epoch in range(1, EPOCHS + 1)]
        return {"ok": by_epoch[0] <= TOLERANCE, "largest_relative_difference_by_epoch": by_epoch,
                "steps": len(got.complete),
                "loss_at_first": reference.loss(1), "at_last": reference.loss(EPOCHS)}  # fmt: skip

    def draws(self, n):
        reference = self.notes("ssl_softdtw", 1, n).draws
        first, second = self.notes("ssl_softdtw", n, n), self.notes("ssl_softdtw", n, n, 1)
        equal = all(reference[key] == speed for x in (first, second) for key, speed in x.draws.items())
        again = len(first.draws.keys() & second.draws.keys())
        utterances = [utterance for epoch, utterance in sorted(first.draws) if epoch == 1]
        changed = sum(first.draws[1, u] != first.draws[2, u] for u in utterances)
        sequences = {tuple(speed for row in first.of_epoch(rank, 1) for speed in row["speeds"])
                     for rank in range(n)}  # fmt: skip
        return {"ok": equal and again > 0 and changed > 0 and len(sequences) == n,
                "drawn": len(first.draws), "as_on_one": equal, "drawn_again_after_the_kill": again,
                "changed_in_the_second_epoch": changed, "ranks_that_differ": len(sequences)}  # fmt: skip

    def resume(self, n):
        config = self.work / f"ssl_softdtw_{n}of{n}.yaml"
        reference = self.notes("ssl_softdtw", 1, n)
        before, after = (self.notes("ssl_softdtw", n, n, attempt) for attempt in (0, 1))
        expected = {key for key in reference.complete if key[0] == EPOCHS}
        if before.complete.keys() >= expected:
            raise RuntimeError("the rank was killed too late: the last epoch was complete")
        if after.complete.keys() != expected:
            raise RuntimeError(
                f"resumed with steps {sorted(after.complete)[:1]}, not with epoch {EPOCHS}'s first"
            )
        largest = deviation(after, before, EPOCHS)
        started = min(row["end"] for row in after.complete[EPOCHS, 1])
        return {"ok": largest <= TOLERANCE, "largest_relative_difference": largest,
                "to_one_process": deviation(after, reference, EPOCHS),
                "killed_after_step": max(s for e, s in before.complete if e == EPOCHS),
                "seconds_from_kill_to_first_step": started - self.killed[config.stem]}  # fmt: skip

    def scaling(self, criterion, n):
        one, many = (self.notes(criterion, k, k) for k in (1, n))
        efficiency = many.throughput() / (n * one.throughput())
        result = {"audio_seconds_per_second": many.throughput(), "on_one": one.throughput(),
                  "efficiency": efficiency}  # fmt: skip
        alone, together = one.seconds(), many.seconds()
        result["ms_on_one"] = {part: round(1000 * alone[part], 1) for part in PARTS}
        result["ms"] = {part: round(1000 * together[part], 1) for part in PARTS}
        slowest = max(PARTS, key=lambda part: together[part] - alone[part])
        added = 1000 * (together[slowest] - alone[slowest])
        result["most_added_by"] = f"{slowest} (+{added:.1f} ms a step)"
        if not self.args.cpu:
            result["ok"] = efficiency >= GOALS.get(n, 0)
        return result

    def run(self):
        start = time.time()
        self.part("preparation", self.prepare)
        self.part("training on 1", self.run_on_one)
        for n in self.args.counts[1:]:
            self.part(f"training on {n}", lambda n=n: self.run_on(n))
            for c in CRITERIONS:
                self.part(f"losses of {c} on {n}", lambda n=n, c=c: self.losses(c, n))
            self.part(f"draws on {n}", lambda n=n: self.draws(n))
            self.part(f"resume on {n}", lambda n=n: self.resume(n))
            for c in CRITERIONS:
                self.part(f"scaling of {c} on {n}", lambda n=n, c=c: self.scaling(c, n))
        return time.time() - start


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the results")
    parser.add_argument("--counts", help="numbers of processes, the first 1 (default: 1, 2, 4 ... GPUs)")
    parser.add_argument("--cpu", action="store_true", help="gloo on the CPU instead of NCCL on GPUs")
    parser.add_argument("--tiny", action="store_true", help="a Demucs of 4 channels, half a second of audio")
    parser.add_argument("--upstream", help="an encoder; default: HuBERT-base's sizes, random weights")
    parser.add_argument("--batch", type=int, help="utterances on each GPU (8; 2 with --tiny)")
    parser.add_argument("--steps", type=int, help="updates in an epoch (12; 6 with --tiny)")
    parser.add_argument("--timeout", type=float, default=240, help="seconds for each process (150)")
    parser.add_argument("--work", type=Path, help="keep data, logs and models in this new folder")
    args = parser.parse_args(argv)
    if not args.cpu and torch.cuda.device_count() < 2:
        parser.error(f"{torch.cuda.device_count()} GPUs here: 2 or more are needed, or --cpu")
    gpus = torch.cuda.device_count()
    counts = args.counts or ",".join(str(2**k) for k in range(4) if 2**k <= gpus)
    args.counts = [int(n) for n in counts.split(",")]
    if args.counts[0] != 1 or sorted(set(args.counts)) != args.counts or len(args.counts) < 2:
        parser.error(f"--counts {counts}: ascending numbers that begin with 1, e.g. 1,2,4")
    if not args.cpu and args.counts[-1] > gpus:
        parser.error(f"--counts {counts}: there are {gpus} GPUs")
    args.batch = args.batch or (2 if args.tiny else 8)
    args.steps = args.steps or (6 if args.tiny else 12)
    args.seconds = (0.4, 0.7) if args.tiny else (2.5, 3.5)

    with tempfile.TemporaryDirectory() as temporary:
        work = (args.work or Path(temporary) / "work").absolute()
        work.mkdir(parents=True)
        bench = Bench(args, work)
        took = bench.run()
        bad = [part["part"] for part in bench.parts if not part["ok"]]
        device = "cpu" if args.cpu else torch.cuda.get_device_name()
        settings = {"device": device, "counts": args.counts, "batch_on_each": args.batch,
                    "steps": args.steps, "upstream": args.upstream or "HuBERT-base, random"}  # fmt: skip
        args.out.write_text(
            json.dumps({**environment(), **settings, "seconds": took, "parts": bench.parts}, indent=1) + "\n"
        )
    print(f"{len(bench.parts) - len(bad)} of {len(bench.parts)} parts passed in {took:.0f} s; {args.out}")
    if bad:
        raise SystemExit(f"failed: {', '.join(bad)}")


if __name__ == "__main__":
    main()
