"""The systems of an experiment folder, from their configurations; seeds of a system are combined."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from espnet_posinv.criterions import CLASSES
from espnet_posinv.report.training import Training, read_training

BASELINE = "ssl_mse"
SEED = re.compile(r"(.+)_seed(\d+)")
ENCODER_KEYS = ("layers", "layer_weights", "normalize_input")
# Keys of config.yaml without influence on the trained model.
PLACES = {
    *("criterions", "seed", "config", "output_dir", "version", "log_level"),
    *("ngpu", "num_workers", "resume"),
}


@dataclass
class System:
    """A row of the tables: the noisy speech, a model, or a fine-tuning with all its seeds."""

    name: str  # of its folder, without the seed
    trainings: list[Training] = field(default_factory=list)  # one for each seed; empty if unknown

    @property
    def config(self) -> dict:
        """The configuration of its first seed."""
        return self.trainings[0].config if self.trainings else {}

    @property
    def losses(self) -> list[dict]:
        """The entries of its SSL criterions in its configuration."""
        return [item for item in self.config.get("criterions") or [] if item["name"] in CLASSES]

    @property
    def loss(self) -> dict:
        """The first of them; empty if there is none."""
        return next(iter(self.losses), {})

    @property
    def criterion(self) -> str | None:
        """The SSL criterion of its fine-tuning, or None."""
        return self.loss.get("name")

    @property
    def upstreams(self) -> list[str]:
        """The encoders in its loss, like ``whisper:FOLDER``."""
        found = ((item.get("conf") or {}).get("upstream") for item in self.losses)
        return list(dict.fromkeys(upstream for upstream in found if upstream))

    @property
    def upstream(self) -> str:
        """All of them as one text; "" if there is none."""
        return " + ".join(self.upstreams)

    @property
    def start(self) -> str:
        """The system whose weights initialised its training."""
        paths = [Path(str(item).split(":")[0]) for item in self.config.get("init_param") or []]
        # posinv finetune names the model's folder, ESPnet its file
        folders = [path.parent if path.suffix in (".pth", ".pt") else path for path in paths]
        return family(folders[0].name) if folders else ""

    @property
    def colour(self) -> str:
        """The name of its colour: a criterion's, "noisy" or "pretrained"."""
        return "noisy" if self.name == "noisy" else self.criterion or "pretrained"

    def settings(self) -> dict:
        """The settings of its training, without criterion, encoder and seed."""
        kept = {k: v for k, v in self.config.items() if k not in PLACES and not k.startswith("dist_")}
        conf = self.loss.get("conf") or {}
        others = [item for item in self.config.get("criterions") or [] if item["name"] not in CLASSES]
        return (
            kept
            | {key: conf.get(key) for key in ENCODER_KEYS}
            | {f"{item['name']} loss": item for item in others}
        )

    def differences(self, other: "System") -> list[str]:
        """Names of the settings in which two systems differ."""
        mine, theirs = self.settings(), other.settings()
        return sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))


def family(folder: str) -> str:
    """A folder's name without its seed."""
    match = SEED.fullmatch(folder)
    return match[1] if match else folder


def read_systems(folders: Iterable[Path], names: Iterable[str] = ()) -> dict[str, System]:
    """Systems by name, in order of rows: noisy, models without a loss of ours, then criterion by criterion.

    Args:
        folders: of experiments.
        names: of further systems, without seed.
    """
    found = {name: System(name) for name in names}
    for folder in sorted(map(Path, folders), key=lambda path: (len(path.name), path.name)):
        system = found.setdefault(family(folder.name), System(family(folder.name)))
        system.trainings.append(read_training(folder))
    criterions = list(CLASSES)

    def rank(system: System) -> tuple:
        place = criterions.index(system.criterion) if system.criterion else -1 - (system.name == "noisy")
        return place, system.name

    return {system.name: system for system in sorted(found.values(), key=rank)}


def baseline_of(system: System, systems: Iterable[System]) -> System | None:
    """The system with ssl_mse through the same encoder that differs in the fewest other settings."""
    if not system.criterion:
        return None
    found = [s for s in systems if s.criterion == BASELINE and s.upstream == system.upstream]
    return min(found, key=lambda s: (len(system.differences(s)), len(s.name), s.name), default=None)
