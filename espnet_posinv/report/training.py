"""Configuration and learning curves from the folder of an ESPnet experiment."""

import itertools
from pathlib import Path
from typing import NamedTuple

from espnet_posinv.enh.model_folder import as_trained
from espnet_posinv.files import read_yaml
from espnet_posinv.kaldi.scp import DataError


class Curve(NamedTuple):
    """One scalar of a training: numbers of updates, wall times in seconds, values."""

    updates: list[int]
    times: list[float]
    values: list[float]


class Training(NamedTuple):
    """An experiment: its configuration, and its losses on training and validation data by epoch."""

    name: str
    config: dict
    train: Curve
    valid: Curve

    @property
    def minutes(self) -> float | None:
        """Wall time from the first epoch's end to the last's, scaled to all epochs; None for one epoch.

        The time of an epoch is the median, so that interruptions do not count.
        """
        times = self.valid.times
        if len(times) < 2:
            return None
        steps = sorted(b - a for a, b in itertools.pairwise(times))
        return len(times) * steps[len(steps) // 2] / 60


def read_training(folder: str | Path) -> Training:
    """The training of a folder; an imported model has no curves.

    Raises:
        DataError: there is no config.yaml.
    """
    folder = Path(folder)
    if not (folder / "config.yaml").is_file():
        raise DataError(f"{folder}: no config.yaml; not an experiment of ESPnet's trainer")
    config = as_trained(read_yaml(folder / "config.yaml"))
    curves = (read_scalars(folder / "tensorboard" / part).get("loss") for part in ("train", "valid"))
    return Training(folder.name, config, *(curve or Curve([], [], []) for curve in curves))


def read_scalars(folder: Path) -> dict[str, Curve]:
    """TensorBoard's scalars of a folder; the latest value of a step that was logged twice (after a kill)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        latest = {event.step: event for event in sorted(events.Scalars(tag), key=lambda e: e.wall_time)}
        points = [latest[step] for step in sorted(latest)]
        curves[tag] = Curve(
            [p.step for p in points], [p.wall_time for p in points], [p.value for p in points]
        )
    return curves
