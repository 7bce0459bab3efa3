"""Seconds that an update takes, of each cell alone on the device."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from espnet_posinv.enh.in_memory import Plan
from espnet_posinv.files import write_json
from interaction.train import Cell, Models, batches, load_model

WARM, COUNTED = 5, 20  # updates


def measure(
    cells: Mapping[Path, tuple[Mapping, Sequence[str]]],
    start: Path,
    speech: Sequence[torch.Tensor],
    noises: dict[str, torch.Tensor],
    plan: Plan,
    seeds: int,
    device: str,
    output: Path,
    say: Callable[[str], None] = print,
) -> None:
    """Write speed.json into `output`: seconds of one update of one model, `seeds` of which run as one stack.

    Args:
        cells, start, speech, noises, plan, seeds, device, say: as :func:`interaction.train.train` takes them.
        output: of the experiment.
    """
    mixer = batches(speech, noises, plan, seeds, device)
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    seconds = {}
    with tempfile.TemporaryDirectory() as elsewhere:  # the cells' own folders say what was trained
        for folder, what in cells.items():
            cell = Cell(Path(elsewhere, folder.name), *what, start, plan, seeds, device)
            models = Models([cell], load_model(start), plan, seeds, device)
            for step in range(WARM + COUNTED):
                if step == WARM:
                    wait()
                    began = time.perf_counter()
                models.update(step, *mixer())
            wait()
            seconds[folder.name] = (time.perf_counter() - began) / COUNTED / seeds
            say(f"{folder.name}: {1000 * seconds[folder.name]:.2f} ms")
    name = torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"
    write_json(output / "speed.json", {"device": name, "seeds": seeds, "seconds": seconds})
