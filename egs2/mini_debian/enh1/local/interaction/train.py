"""Fine-tuning of NSNet2 with several seeds, and several criterions, side by side in one process.

The frozen encoder hears the utterances of all seeds as one batch, and the networks of all cells are one
stack. Each seed has its own model, its own part of every batch, and a gradient that is clipped by itself. All
cells get the same batches.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from espnet_posinv.criterions import criterion_class
from espnet_posinv.enh.in_memory import Mixer, Plan, learning_rate
from espnet_posinv.enh.model_folder import INFERENCE, KEY, write_model
from espnet_posinv.enh.nsnet2 import NSNet2Separator
from espnet_posinv.files import atomic_write, read_json, replacing, write_json
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.sample_rate import SAMPLE_RATE
from interaction.resume import State
from interaction.stacked import Stacked

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


def export(weights: Path) -> list[Path]:
    """Models of all seeds in a cell's step<n>.pt as folders beside it: step<n>_seed1, ..."""
    training = read_json(weights.parent / "cell.json")
    folders = []
    for seed, state in enumerate(torch.load(weights, weights_only=True, map_location="cpu"), 1):
        folders.append(weights.with_name(f"{weights.stem}_seed{seed}"))
        write_model(
            folders[-1], {**INFERENCE, "separator": "nsnet2", "separator_conf": {}, **training}, state
        )
    return folders


class Cell:
    """The loss of one criterion through some encoders, for several models, and what is kept of them.

    Args:
        folder: of its checkpoints and train.jsonl.
        criterion: name and conf of the loss.
        upstreams: the encoders that it is computed on; of several, the losses are added.
        start: the folder of the model that all begin with.
        plan: of each seed.
        seeds: how many.
        device: cpu or cuda.
    """

    def __init__(
        self, folder: Path, criterion: Mapping, upstreams: Sequence[str], start, plan, seeds, device
    ):
        folder.mkdir(parents=True, exist_ok=True)
        listed = [
            {**criterion, "conf": {**criterion["conf"], "upstream": upstream}} for upstream in upstreams
        ]
        write_json(folder / "cell.json", {KEY: {"criterions": listed}, "init_param": [f"{start}/model.pth"]})
        options = {"ssl_dtype": "bfloat16"} if device.startswith("cuda") else {}
        made = criterion_class(criterion["name"])
        self.losses = [
            made(**{**criterion["conf"], **options, "upstream": upstream}) for upstream in upstreams
        ]
        self.folder = folder
        torch.manual_seed(plan.seed)
        self.draws = torch.get_rng_state()  # of the criterion, whatever else is trained in this process
        self.sums, self.since, self.lines = torch.zeros(seeds, device=device), 0, []

    def gradient(self, clean: torch.Tensor, enhanced: torch.Tensor) -> torch.Tensor:
        """Of the sum of the seeds' mean losses, with regard to the enhanced speech of all seeds (S B, T)."""
        enhanced = enhanced.detach().requires_grad_()
        lengths = torch.full((len(clean),), clean.shape[1])
        torch.set_rng_state(self.draws)
        loss = sum(loss_of(clean, enhanced, lengths) for loss_of in self.losses)
        self.draws = torch.get_rng_state()
        loss = loss.view(len(self.sums), -1).mean(1)
        self.sums += loss.detach()
        return torch.autograd.grad(loss.sum(), enhanced)[0]

    def state(self) -> dict:
        """What `restore` needs to go on."""
        return {"draws": self.draws, "sums": self.sums, "since": self.since, "lines": self.lines}

    def restore(self, state: Mapping) -> None:
        """Go on from a `state`."""
        self.draws, self.since, self.lines = state["draws"], state["since"], state["lines"]
        self.sums.copy_(state["sums"])

    def keep(self, step: int, seconds: float, models: Sequence[Mapping[str, torch.Tensor]]) -> None:
        """Write the weights of every seed after `step` updates, and the mean losses since the last call.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        means = (self.sums / (step - self.since)).tolist()
        if not all(abs(mean) < float("inf") for mean in means):
            raise FloatingPointError(f"{self.folder}: update {step}: losses {means}; lower the rate")
        self.lines.append(json.dumps({"step": step, "loss": means, "seconds": round(seconds, 1)}) + "\n")
        self.sums.zero_()
        self.since = step
        states = [{PREFIX + k: v.half().cpu() for k, v in model.items()} for model in models]
        with replacing(self.folder / f"step{step}.pt") as temporary:
            torch.save(states, temporary)
        with atomic_write(self.folder / "train.jsonl") as file:
            file.writelines(self.lines)


class Models:
    """The models of some cells, and their updates.

    Args:
        cells: that are trained side by side.
        start: the model that all begin with.
        plan: of each seed.
        seeds: how many models each cell has.
        device: cpu or cuda.
    """

    def __init__(self, cells: Sequence[Cell], start: NSNet2Separator, plan: Plan, seeds: int, device: str):
        self.cells, self.plan, self.seeds = cells, plan, seeds
        length = round(plan.seconds * SAMPLE_RATE)
        self.enhance = Stacked(start, len(cells) * seeds, plan.batch, length, device)
        self.optimizer = torch.optim.Adam(self.enhance.parameters(), plan.rate)

    def update(self, step: int, noisy: torch.Tensor, clean: torch.Tensor) -> None:
        """Update every model once; every cell gets the same batch, of which each seed has its own part."""
        enhanced = self.enhance(noisy)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.plan)
        parts = enhanced.split(len(clean))
        gradients = [cell.gradient(clean, part) for cell, part in zip(self.cells, parts, strict=True)]
        self.optimizer.zero_grad(set_to_none=True)
        enhanced.backward(torch.cat(gradients))
        self.enhance.clip(self.plan.clip)
        self.optimizer.step()

    def keep(self, step: int, seconds: float) -> None:
        """As each cell's `keep`."""
        for i, cell in enumerate(self.cells):
            rows = range(i * self.seeds, (i + 1) * self.seeds)
            cell.keep(step, seconds, [self.enhance.state(row) for row in rows])

    def state(self) -> dict:
        """What `restore` needs to go on."""
        kept = {"optimizer": self.optimizer.state_dict(), "network": self.enhance.network.state_dict()}
        return {**kept, "cells": [cell.state() for cell in self.cells]}

    def restore(self, state: Mapping) -> None:
        """Go on from a `state`."""
        self.enhance.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        for cell, kept in zip(self.cells, state["cells"], strict=True):
            cell.restore(kept)


def batches(speech, noises, plan: Plan, seeds: int, device: str) -> Mixer:
    """Makes the batches of all seeds, each of which takes its part."""
    return Mixer(speech, noises, replace(plan, batch=seeds * plan.batch), device)


def train(
    cells: Mapping[Path, tuple[Mapping, Sequence[str]]],
    start: Path,
    speech: Sequence[torch.Tensor],
    noises: dict[str, torch.Tensor],
    plan: Plan,
    seeds: int,
    checkpoints: Sequence[int],
    device: str,
    say: Callable[[str], None] = print,
) -> None:
    """Train cells side by side; a cell is what it is alone. One that has its last checkpoint is left alone.

    Killed and called again with the same cells, it goes on where it was a minute before.

    Args:
        cells: criterion and encoders of each folder, as `Cell` takes them.
        start: the model that all begin with.
        speech, noises: as `Mixer` takes them.
        plan: of each seed; `plan.seed` decides all batches.
        seeds: how many.
        checkpoints: updates after which weights are kept; the last one ends the training.
        device: cpu or cuda.
        say: prints a line.

    Raises:
        DataError: a cell was trained with another plan or number of seeds.
        FloatingPointError: a loss is not finite.
    """
    heard = {"speech": sum(map(len, speech)), "noise": sum(map(len, noises.values()))}  # samples
    settings = json.loads(json.dumps({**vars(plan), "seeds": seeds, **heard}))
    for folder in cells:
        if (folder / f"step{max(checkpoints)}.pt").is_file():
            plan_file = folder / "plan.json"  # older trainings have none
            if plan_file.is_file() and read_json(plan_file) != settings:
                raise DataError(f"{plan_file}: trained with other settings; name another --output-dir")
            say(f"{folder}: trained already")
    open_cells = [
        Cell(folder, *what, start, plan, seeds, device)
        for folder, what in cells.items()
        if not (folder / f"step{max(checkpoints)}.pt").is_file()
    ]
    if not open_cells:
        return
    for cell in open_cells:
        write_json(cell.folder / "plan.json", settings)
    models = Models(open_cells, load_model(start), plan, seeds, device)
    mixer = batches(speech, noises, plan, seeds, device)
    state = State(models, mixer, settings)
    for step in range(state.restore(), max(checkpoints)):
        models.update(step, *mixer())
        if step + 1 in checkpoints:
            models.keep(step + 1, state.seconds())
            names = ", ".join(cell.folder.name for cell in open_cells)
            say(f"{names}: update {step + 1}, {state.seconds():.0f} s")
        state.write(step + 1)
    state.remove()
