"""What a training needs to go on where it was killed: one file for all cells of a process."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from espnet_posinv.enh.in_memory import Mixer
from espnet_posinv.files import replacing

if TYPE_CHECKING:
    from interaction.train import Models

EVERY = 60.0  # seconds between two writes


class State:
    """The cells of a process, and the batches that they get.

    Args:
        models: those that are trained; what others left is not theirs.
        mixer: makes their batches.
        settings: of the training; with others it begins anew.
    """

    def __init__(self, models: "Models", mixer: Mixer, settings: Mapping):
        self.models, self.mixer, cells = models, mixer, models.cells
        losses = {cell.folder.name: (cell.folder / "cell.json").read_text(encoding="utf-8") for cell in cells}
        self.made_from = json.dumps([losses, settings])
        self.path = cells[0].folder / "state.pt"
        self.began = self.written = time.time()

    def restore(self) -> int:
        """Updates that were made before; 0 if there is nothing to go on with."""
        if not self.path.is_file():
            return 0
        kept = torch.load(self.path, weights_only=True, map_location="cpu")
        if kept["made_from"] != self.made_from:
            return 0
        self.mixer.generator.set_state(kept["mixer"])
        self.models.restore(kept["models"])
        self.began -= kept["seconds"]
        return kept["step"]

    def write(self, step: int) -> None:
        """Write it if a minute has passed."""
        if time.time() - self.written < EVERY:
            return
        kept = {"made_from": self.made_from, "step": step, "models": self.models.state()}
        with replacing(self.path) as temporary:
            torch.save(
                {**kept, "mixer": self.mixer.generator.get_state(), "seconds": self.seconds()}, temporary
            )
        self.written = time.time()

    def seconds(self) -> float:
        """Of the training, those before it was killed included."""
        return time.time() - self.began

    def remove(self) -> None:
        """All is done."""
        self.path.unlink(missing_ok=True)
