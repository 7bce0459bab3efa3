"""Training of a CTC head on frozen SSL features; can be resumed, keeps the best weights on validation."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn.functional import ctc_loss

from espnet_posinv.asr.ctc_data import Features, Utterance, batches
from espnet_posinv.asr.ctc_head import Head, Recipe, greedy, hidden_states, save
from espnet_posinv.asr.units import Units
from espnet_posinv.files import replacing
from espnet_posinv.kaldi.entry import fingerprint
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.ssl import SSLEncoder


@dataclass
class Plan:
    """Settings of a training that determine its result, together with data and model."""

    steps: int = 20000
    rate: float = 1e-3
    warmup: float = 0.05  # share of the steps; then half a cosine down
    batch_seconds: float = 80.0  # of audio in a step, padding included
    eval_every: int = 1000  # steps between validations
    seed: int = 0


def train(
    folder: Path,
    units: Units,
    recipe: Recipe,
    encoder: SSLEncoder,
    train_set: list[Utterance],
    valid_set: list[Utterance],
    plan: Plan,
    *,
    gigabytes: float = 2.0,
    say: Callable = print,
    save_every: float = 120.0,
) -> float:
    """Train a head, or resume; writes checkpoint.pt, train.jsonl and, at the end, the recogniser's folder.

    Args:
        units, recipe, encoder: of the recogniser; the encoder is on the device to train on.
        gigabytes: memory for features.
        save_every: seconds between checkpoints.

    Returns:
        Error rate of units on the validation set, per cent, with the best weights.

    Raises:
        DataError: the folder has a checkpoint with another plan, model or data.
        FloatingPointError: the loss is not finite.
    """
    device = next(encoder.network.parameters()).device
    recipe.encoder_sha256, recipe.encoder_label = encoder.fingerprint(), encoder.label
    torch.manual_seed(plan.seed)
    probe, _ = hidden_states(encoder, torch.zeros(1, encoder.min_samples, device=device))
    recipe.head |= {"states": probe.shape[2], "dim": probe.shape[3], "outputs": len(units.tokens)}
    head = Head(**recipe.head).to(device)
    optimizer = torch.optim.Adam(head.parameters(), plan.rate)
    loop = _Loop(folder, _facts(units, recipe, train_set, valid_set, plan), head, optimizer)
    loop.resume(device, say)
    features = Features(encoder, device, gigabytes)
    began, first, last_save = time.time(), loop.step, time.time()
    stream = _endless(train_set, plan, loop.step)
    while loop.step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = _rate(loop.step, plan)
        head.train()
        loss = _loss(head, features, next(stream))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        loop.step += 1
        if loop.step % plan.eval_every == 0 or loop.step == plan.steps:
            value, rate = loss.item(), error_rate(head, features, valid_set, plan)
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"step {loop.step}: the loss is {value}; lower the rate ({plan.rate})"
                )
            loop.note(rate)
            left = (time.time() - began) / (loop.step - first) * (plan.steps - loop.step)
            say(
                f"step {loop.step}/{plan.steps} loss {value:.3f} valid {units.kind} {rate:.2f} % wrong, "
                f"ETA {left:.0f} s"
            )
            with open(folder / "train.jsonl", "a", encoding="utf-8") as file:
                file.write(
                    json.dumps({"step": loop.step, "loss": round(value, 5), "valid": round(rate, 4)}) + "\n"
                )
        if time.time() - last_save > save_every or loop.step == plan.steps:
            loop.save()
            last_save = time.time()
    recipe.training = {**asdict(plan), "best_step": loop.best["step"], "valid_error": loop.best["rate"]}
    save(folder, recipe, units, loop.best["head"])
    return loop.best["rate"]


class _Loop:
    """The state of a training in a checkpoint: tensors and plain types."""

    def __init__(self, folder: Path, facts: dict, head: Head, optimizer: torch.optim.Optimizer):
        self.path, self.facts, self.head, self.optimizer = folder / "checkpoint.pt", facts, head, optimizer
        self.step, self.best = 0, {"rate": math.inf, "step": 0, "head": None}

    def note(self, rate: float) -> None:
        """Keep the weights if they are the best so far."""
        if rate < self.best["rate"]:
            weights = {name: value.detach().cpu().clone() for name, value in self.head.state_dict().items()}
            self.best = {"rate": rate, "step": self.step, "head": weights}

    def save(self) -> None:
        state = {"facts": self.facts, "step": self.step, "best": self.best, "random": torch.get_rng_state()}
        state |= {"head": self.head.state_dict(), "optimizer": self.optimizer.state_dict()}
        with replacing(self.path) as temporary:
            torch.save(state, temporary)

    def resume(self, device: torch.device, say: Callable) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return
        state = torch.load(self.path, weights_only=True, map_location=device)
        if changed := [key for key, value in self.facts.items() if state["facts"].get(key) != value]:
            other = ", ".join(changed)
            raise DataError(
                f"{self.path}: from a training with other {other}; delete it or choose another folder"
            )
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        torch.set_rng_state(state["random"].cpu())
        say(f"resuming at step {self.step}")


def error_rate(head: Head, features: Features, items: list[Utterance], plan: Plan) -> float:
    """Edit distance over number of units, per cent, of greedy recognition."""
    import editdistance

    head.eval()
    errors = total = 0
    with torch.no_grad():
        for batch in batches(items, plan.batch_seconds, plan.seed, 0):
            states, frames = features(batch)
            log_probs = head(states, frames)
            for item, row, n in zip(batch, log_probs, frames.tolist(), strict=True):
                errors += editdistance.eval(greedy(row[:n]), item.units)
                total += len(item.units)
    return 100 * errors / total


def _loss(head: Head, features: Features, batch: list[Utterance]) -> torch.Tensor:
    """CTC loss in nats, the mean over utterances of loss / units."""
    states, frames = features(batch)
    log_probs = head(states, frames).transpose(0, 1).cpu()  # few numbers; deterministic there
    counts = torch.tensor([len(item.units) for item in batch])
    targets = torch.tensor([number for item in batch for number in item.units], dtype=torch.long)
    return ctc_loss(log_probs, targets, frames, counts, reduction="mean")


def _endless(items: list[Utterance], plan: Plan, step: int) -> Iterator[list[Utterance]]:
    """Batches from update `step` on."""
    count = len(batches(items, plan.batch_seconds, plan.seed, 0))
    epoch, offset = divmod(step, count)
    while True:
        yield from batches(items, plan.batch_seconds, plan.seed, epoch)[offset:]
        epoch, offset = epoch + 1, 0


def _rate(step: int, plan: Plan) -> float:
    warm = max(1, round(plan.warmup * plan.steps))
    if step < warm:
        return plan.rate * (step + 1) / warm
    return plan.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, plan.steps - warm)))


def _facts(units: Units, recipe: Recipe, train_set, valid_set, plan: Plan) -> dict:
    """Values that must be the same when a training is resumed."""
    return {
        "plan": asdict(plan),
        "head": recipe.head,
        "model": [recipe.encoder_sha256, str(recipe.layers)],
        "units": [units.kind, *units.tokens],
        "data": [fingerprint({f"{i.name} {i.units}": i.entry for i in s}) for s in (train_set, valid_set)],
    }
