"""What the folder of an ESPnet experiment tells: how it was trained, and its curves."""

import itertools
from pathlib import Path
from typing import NamedTuple

import yaml


class Curve(NamedTuple):
    """One scalar of a training: after how many updates, at what wall time in seconds, its value."""

    updates: list[int]
    times: list[float]
    values: list[float]


class Training(NamedTuple):
    """An experiment: its configuration and the losses on training and validation data by epoch."""

    name: str
    config: dict
    train: Curve
    valid: Curve

    @property
    def criterion(self) -> str:
        """Names of its criterions."""
        return " + ".join(item["name"] for item in self.config.get("criterions") or []) or "-"

    @property
    def upstreams(self) -> list[str]:
        """Encoders its criterions look through, like ``whisper:DIR``."""
        confs = [item.get("conf") or {} for item in self.config.get("criterions") or []]
        return [str(conf["upstream"]) for conf in confs if conf.get("upstream")]

    @property
    def minutes(self) -> float | None:
        """Wall time from the first epoch's end to the last's, scaled to all epochs; None for one epoch.

        The time of an epoch is taken as the median, so that a training stopped and resumed counts right.
        """
        times = self.valid.times
        if len(times) < 2:
            return None
        steps = sorted(b - a for a, b in itertools.pairwise(times))
        return len(times) * steps[len(steps) // 2] / 60


def read_training(folder: str | Path) -> Training | None:
    """An experiment of ESPnet's trainer; None for a model that was not trained here."""
    folder = Path(folder)
    if not (folder / "config.yaml").exists() or not (folder / "tensorboard" / "valid").is_dir():
        return None
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    curves = [_read_curve(folder / "tensorboard" / part) for part in ("train", "valid")]
    return Training(folder.name, config, *curves)


def _read_curve(folder: Path) -> Curve:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
    events.Reload()
    if "loss" not in events.Tags()["scalars"]:
        return Curve([], [], [])
    # Of an epoch that was begun again after a kill, the latest counts.
    points = {event.step: event for event in sorted(events.Scalars("loss"), key=lambda e: e.wall_time)}
    points = [points[step] for step in sorted(points)]
    return Curve([p.step for p in points], [p.wall_time for p in points], [p.value for p in points])
