"""Train the configurations that bench/ddp.py wrote, one after another, and note every step of every rank.

On GPUs this is ESPnet's own way: its main() spawns a process for each GPU.  Without GPUs it spawns none, so
on the CPU they are spawned here, and joined as ESPnet joins its own.
"""

import argparse
import json
import os
import time
import traceback
from pathlib import Path

import torch
from espnet2.train.distributed_utils import free_port

from espnet_posinv.enh.task import PosinvEnhancementTask


class Notes:
    """A line of JSON for each training step: batch, draws, loss, and seconds by part.

    The device finishes its work before the clock is read, so a part's time is its own.
    """

    def __init__(self, folder: Path, rank: int):
        folder.mkdir(parents=True, exist_ok=True)
        attempt = len(list(folder.glob(f"rank{rank}.*.jsonl")))
        self.file = (folder / f"rank{rank}.{attempt}.jsonl").open("w", encoding="utf-8")
        self.last, self.row, self.steps = self._now(), {}, {}

    def _now(self):
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return time.time()

    def _stop(self, part):
        now = self._now()
        self.row[part], self.last = now - self.last, now

    def before_forward(self, model, args, kwargs):
        if model.training:
            self._stop("data")

    def after_forward(self, model, args, kwargs, output):
        if model.training:
            self._stop("forward")
            stats = model.loss_wrappers[0].criterion.stats
            self.row["speeds"] = stats.get("ssl_softdtw_speed", torch.empty(0)).tolist()
            self.row["utterances"] = kwargs["utt_id"]
            self.row["audio"] = kwargs["speech_mix_lengths"].sum().item() / 16000
            self.row["loss"] = output[0].item()

    def before_update(self, optimizer, args, kwargs):
        self._stop("backward")

    def after_update(self, optimizer, args, kwargs):
        self._stop("update")
        seed = torch.initial_seed()  # ESPnet's: --seed (0 here) plus the epoch
        self.steps[seed] = self.steps.get(seed, 0) + 1
        self.row |= {"epoch": seed, "step": self.steps[seed], "end": self.last, "pid": os.getpid()}
        print(json.dumps(self.row), file=self.file, flush=True)
        self.row = {}


class NotedTask(PosinvEnhancementTask):
    """Our task with notes of every step."""

    @classmethod
    def build_model(cls, args):
        model = super().build_model(args)
        cls.notes = Notes(Path(args.output_dir), args.dist_rank or 0)
        model.register_forward_pre_hook(cls.notes.before_forward, with_kwargs=True)
        model.register_forward_hook(cls.notes.after_forward, with_kwargs=True)
        return model

    @classmethod
    def build_optimizers(cls, args, model):
        optimizers = super().build_optimizers(args, model)
        for optimizer in optimizers:
            optimizer.register_step_pre_hook(cls.notes.before_update)
            optimizer.register_step_post_hook(cls.notes.after_update)
        return optimizers


def train_rank(rank, config, world, address):
    distributed = ["--dist_backend", "gloo", "--dist_world_size", str(world), "--dist_rank", str(rank)]
    NotedTask.main(cmd=["--config", config, *distributed, "--dist_init_method", address])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu-processes", type=int, default=1)
    parser.add_argument("configs", nargs="+")
    args = parser.parse_args(argv)
    failed = False
    for config in args.configs:
        print(f"{time.strftime('%X')} {config}", flush=True)
        try:
            if args.cpu_processes > 1:
                rest = (config, args.cpu_processes, f"tcp://localhost:{free_port()}")
                torch.multiprocessing.start_processes(
                    train_rank, rest, nprocs=args.cpu_processes, start_method="spawn"
                )
            else:
                NotedTask.main(cmd=["--config", config])
        except Exception:  # of whatever kind: the next training is to have its chance
            traceback.print_exc()
            print(f"{time.strftime('%X')} {config} failed", flush=True)
            failed = True
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
