"""Training that can be interrupted at any moment by kills, time limits or preemption.

ESPnet's Trainer resumes at the last finished epoch. This one adds two features.

1. After a kill: ESPnet writes ``checkpoint.pth`` in place, before the epoch's model and the links to the best
   models, so a resumed training may find an incomplete file or missing models. Here every file is written
   under a temporary name and renamed, ``checkpoint.pth`` last; after a kill before that, the epoch is
   repeated, with the same result.
2. After a warning (SIGUSR1, see ``--requeue`` of slurm.pl): the state within the epoch is saved after the
   current update, and the process exits with ``REQUEUE_CODE``. The resumed training continues with the next
   batch and gives the same result as without interruption: parameters, optimizers, statistics and random
   numbers are restored.
"""

import contextlib
import logging
import multiprocessing
import os
import random
import signal
from pathlib import Path

import numpy as np
import torch
from espnet2.train.trainer import Trainer

from espnet_posinv import espnet_compat
from espnet_posinv.enh.best_model import check_best_model
from espnet_posinv.files import replacing

REQUEUE_CODE = 99
_warned = False


class Preemptible:
    """Mix-in for ESPnet tasks: train with PreemptibleTrainer, and handle the warning from the start."""

    @classmethod
    def main(cls, args=None, cmd=None):
        _heed_warning()
        super().main(args=args, cmd=cmd)

    @classmethod
    def main_worker(cls, args):
        _heed_warning()
        # Processes on several nodes find each other through a file; a requeued job must not use the file of
        # its first attempt.
        restart = os.environ.get("SLURM_RESTART_COUNT")
        if restart and (args.dist_init_method or "").startswith("file://"):
            args.dist_init_method += f".{restart}"
        super().main_worker(args)


class PreemptibleTrainer(Trainer):
    """ESPnet's Trainer with complete checkpoints and, on SIGUSR1, an exact stop within an epoch."""

    @classmethod
    def run(cls, **given):
        options, rank = given["trainer_options"], given["distributed_option"].dist_rank or 0
        output_dir = Path(options.output_dir)
        categories = any(d.has_name("category") for d in espnet_compat.datasets(given["valid_iter_factory"]))
        check_best_model(given["model"], options.best_model_criterion, with_categories=categories)
        if rank == 0:
            (output_dir / "checkpoint.pth.next").unlink(missing_ok=True)  # its epoch was not finished
        with espnet_compat.saving_with(_save_completely):
            super().run(**given)
        if rank == 0:
            _commit(output_dir)

    @classmethod
    def train_one_epoch(cls, *, iterator, options, distributed_option, **given):
        distributed, rank = distributed_option.distributed, distributed_option.dist_rank or 0
        state = _Interruption(Path(options.output_dir) / f"interrupted.{rank}.pth", given)
        if rank == 0:
            _commit(Path(options.output_dir))
        if _agreed(distributed, options.ngpu):
            _leave()
        done = state.load("cuda" if options.ngpu > 0 else "cpu") if options.resume else 0

        def batches():
            for number, batch in enumerate(iterator, 1):
                if number < done:
                    continue
                if number == done:
                    state.restore_random_numbers()
                    continue
                yield batch
                # The update with this batch is done: the trainer requests the next one.
                if number % options.accum_grad == 0 and _agreed(distributed, options.ngpu):
                    state.save(number)
                    _leave()

        with contextlib.suppress(TypeError):
            if options.log_interval is None:  # the trainer would derive it from the length
                options.log_interval = max(len(iterator) // 20, 10)
        invalid = super().train_one_epoch(
            iterator=batches(), options=options, distributed_option=distributed_option, **given
        )
        return invalid and not done


class _Interruption:
    """The state of a training within an epoch, as tensors and plain types."""

    def __init__(self, path, given):
        self.path, self.reporter = path, given["reporter"]
        self.parts = {"model": getattr(given["model"], "module", given["model"]), "scaler": given["scaler"]}
        for kind in ("optimizer", "scheduler"):
            self.parts.update((f"{kind}{i}", part) for i, part in enumerate(given[f"{kind}s"]))
        self.random_numbers = None

    def save(self, batches_done):
        """Write the state after ``batches_done`` batches of the current epoch."""
        name, key, *rest = np.random.get_state()
        torch.save(
            {
                "epoch": self.reporter.epoch,
                "batches_done": batches_done,
                "parts": {name: part.state_dict() for name, part in self.parts.items() if part is not None},
                "reporter": espnet_compat.reporter_state(self.reporter),
                "random": {
                    "torch": torch.get_rng_state(),
                    "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
                    "numpy": (name, torch.from_numpy(key.astype(np.int64)), *rest),
                    "python": random.getstate(),
                },
            },
            self.path,
        )
        logging.info(f"Stopped within epoch {self.reporter.epoch}, after {batches_done} batches: {self.path}")

    def load(self, device):
        """Restore a state of this epoch, if one was saved; returns the number of batches that are done."""
        if not self.path.exists():
            return 0
        state = torch.load(self.path, map_location=device, weights_only=True)
        if state["epoch"] != self.reporter.epoch:
            return 0
        for name, part in self.parts.items():
            if part is not None:
                part.load_state_dict(state["parts"][name])
        espnet_compat.restore_reporter(self.reporter, state["reporter"])
        self.random_numbers = state["random"]
        logging.info(f"Resuming epoch {state['epoch']} after {state['batches_done']} batches")
        return state["batches_done"]

    def restore_random_numbers(self):
        """Restore the random states; called after the finished batches have been skipped."""
        states = self.random_numbers
        torch.set_rng_state(states["torch"].cpu())
        if states["cuda"]:
            torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
        name, key, *rest = states["numpy"]
        np.random.set_state((name, key.cpu().numpy().astype(np.uint32), *rest))
        version, numbers, gauss = states["python"]
        random.setstate((version, tuple(numbers), gauss))


def _heed_warning():
    signal.signal(signal.SIGUSR1, _on_warning)


def _on_warning(number, frame):
    global _warned
    _warned = True
    for child in multiprocessing.active_children():
        if not child.daemon:  # a training process of another GPU, not a data worker
            os.kill(child.pid, signal.SIGUSR1)


def _agreed(distributed, ngpu):
    """Whether any process of this training was warned, so that all stop after the same batch."""
    if not distributed:
        return _warned
    flag = torch.tensor(int(_warned), device="cuda" if ngpu > 0 else "cpu")
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)


def _leave():
    logging.warning(f"Received SIGUSR1: exiting with code {REQUEUE_CODE}, to be run again")
    raise SystemExit(REQUEUE_CODE)


def _save_completely(save, value, file, *args, **kwargs):
    """torch.save to a temporary name, then rename; checkpoint.pth becomes ``checkpoint.pth.next``."""
    path = os.fspath(file)
    with replacing(path + (".next" if os.path.basename(path) == "checkpoint.pth" else "")) as temporary:
        save(value, temporary, *args, **kwargs)


def _commit(output_dir):
    """Make the finished epoch's checkpoint the one to resume from."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(output_dir / "checkpoint.pth.next", output_dir / "checkpoint.pth")
        for path in output_dir.glob("interrupted.*.pth"):
            path.unlink()
