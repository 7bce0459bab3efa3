"""Fine-tuning of NSNet2 with several seeds side by side in one process: one cell of the experiment.

The frozen encoder hears the utterances of all seeds as one batch. The networks, whose recurrences leave a
GPU idle, run beside each other. Each seed has its own model, its own part of every batch, and a gradient
that is clipped by itself. All cells get the same batches.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from espnet_posinv.criterions import criterion_class
from espnet_posinv.enh.in_memory import Mixer, Plan, learning_rate
from espnet_posinv.enh.nsnet2 import GAIN_FLOOR, NSNet2Separator
from espnet_posinv.files import atomic_write, replacing
from espnet_posinv.kaldi.scp import DataError

PREFIX = "separator."


def load_model(folder: Path) -> NSNet2Separator:
    """An imported or fine-tuned NSNet2.

    Raises:
        DataError: no such model in `folder`.
    """
    if not (folder / "model.pth").is_file():
        raise DataError(f"{folder}: no model.pth; stage 4 of the recipe makes it (exp_*/nsnet2)")
    state = torch.load(folder / "model.pth", weights_only=True, map_location="cpu")
    model = NSNet2Separator(1)
    model.load_state_dict({k.removeprefix(PREFIX): v.float() for k, v in state.items() if PREFIX in k})
    return model


class Gain(nn.Module):
    """The network of an NSNet2 alone: `(B, N, bins)` to gains."""

    def __init__(self, model: NSNet2Separator):
        super().__init__()
        self.model = model

    def forward(self, log_power):
        return self.model.gain(log_power)


class SideBySide:
    """Several NSNet2s on one batch, a part each.

    Args:
        models: of one device.
        batch: utterances of each.
        length: samples of an utterance, a multiple of the hop.
    """

    def __init__(self, models: Sequence[NSNet2Separator], batch: int, length: int):
        self.models, self.batch = models, batch
        self.gains: list[Callable] = [Gain(model) for model in models]
        self.streams = None
        if next(models[0].parameters()).is_cuda:  # thousands of small kernels, recorded once
            shape = (batch, length // models[0].hop + 1, models[0].n_fft // 2 + 1)
            self.gains = [
                torch.cuda.make_graphed_callables(gain, (torch.randn(shape, device="cuda"),))
                for gain in self.gains
            ]
            self.streams = [torch.cuda.Stream() for _ in models]

    def __call__(self, noisy: torch.Tensor) -> torch.Tensor:
        """Enhanced `(S B, T)` of noisy ones."""
        shared = self.models[0]
        spectrum = shared.stft(noisy)
        parts = shared.log_power(spectrum).split(self.batch)
        if self.streams is None:
            gains = [gain(x) for gain, x in zip(self.gains, parts, strict=True)]
        else:
            gains, here = [], torch.cuda.current_stream()
            for gain, x, stream in zip(self.gains, parts, self.streams, strict=True):
                stream.wait_stream(here)
                with torch.cuda.stream(stream):
                    gains.append(gain(x))
            for stream in self.streams:
                here.wait_stream(stream)
        gain = torch.cat(gains).clamp_min(GAIN_FLOOR).transpose(1, 2)
        return torch.istft(
            gain * spectrum, shared.n_fft, shared.hop, window=shared.window, length=noisy.shape[1]
        )


def train(
    folder: Path,
    start: Path,
    criterion: Mapping,
    upstreams: Sequence[str],
    speech: Sequence[torch.Tensor],
    noises: dict[str, torch.Tensor],
    plan: Plan,
    seeds: int,
    checkpoints: Sequence[int],
    device: str,
    say: Callable[[str], None] = print,
) -> None:
    """Train a cell; writes step<n>.pt with the weights of every seed, and train.jsonl. What is there is kept.

    Args:
        folder: of the cell.
        start: the model that all begin with.
        criterion: name and conf of the loss.
        upstreams: the encoders that it is computed on; of several, the losses are added.
        speech, noises: as `Mixer` takes them.
        plan: of each seed; `plan.seed` decides all batches.
        seeds: how many.
        checkpoints: updates after which weights are kept; the last one ends the training.
        device: cpu or cuda.
        say: prints a line.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    if (folder / f"step{max(checkpoints)}.pt").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    options = {"ssl_dtype": "bfloat16"} if device.startswith("cuda") else {}
    made = criterion_class(criterion["name"])
    losses = [made(**{**criterion["conf"], **options, "upstream": upstream}) for upstream in upstreams]
    mixer = Mixer(speech, noises, Plan(**{**vars(plan), "batch": seeds * plan.batch}), device)
    models = [load_model(start).to(device).train() for _ in range(seeds)]
    enhance = SideBySide(models, plan.batch, mixer.length)
    optimizer = torch.optim.Adam([p for m in models for p in m.parameters()], plan.rate)
    lengths = torch.full((seeds * plan.batch,), mixer.length)
    torch.manual_seed(plan.seed)  # what criterions draw
    sums, lines, began, since = torch.zeros(seeds, device=device), [], time.time(), 0
    for step in range(max(checkpoints)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        noisy, clean = mixer()
        enhanced = enhance(noisy)
        loss = sum(loss_of(clean, enhanced, lengths) for loss_of in losses).view(seeds, -1).mean(1)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        for model in models:
            nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        sums += loss.detach()
        if step + 1 in checkpoints:
            means = (sums / (step + 1 - since)).tolist()
            if not all(abs(mean) < float("inf") for mean in means):
                raise FloatingPointError(f"{folder}: update {step + 1}: losses {means}; lower the rate")
            values = {"step": step + 1, "loss": means, "seconds": round(time.time() - began, 1)}
            lines.append(json.dumps(values) + "\n")
            sums.zero_()
            since = step + 1
            states = [{PREFIX + k: v.half().cpu() for k, v in m.state_dict().items()} for m in models]
            with replacing(folder / f"step{step + 1}.pt") as temporary:
                torch.save(states, temporary)
            with atomic_write(folder / "train.jsonl") as file:
                file.writelines(lines)
            say(f"{folder.name}: update {step + 1}, {time.time() - began:.0f} s")
