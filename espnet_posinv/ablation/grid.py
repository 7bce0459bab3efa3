"""Ablations: a grid in YAML becomes calls of a recipe, each with its own tag, and one table.

    run: ./run.sh --quick                 # what every experiment calls, with options of enh.sh added
    expdir: exp_quick                     # where that call puts models and scores
    options: {seeds: 1 2 3}               # of enh.sh, for all
    settings: {max_epoch: 2}              # of the training, for all
    grids:
      padding:
        criterion: ssl_mse_pad            # one or several of conf/criterion
        vary:                             # all combinations; the first one is what others are compared with
          share: [[0.02, 0.05], [0.1, 0.2]]
          pad_in_statistics: [false, true]

The recipe trains, resumes and names the models: its stage 5 is called for each experiment, then its stages 6
to 8 once for all, so that recognisers are loaded once. Finished experiments are skipped.
"""

import itertools
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.files import write_json
from espnet_posinv.recipe.config import ConfigError, load

KEYS = {"run", "expdir", "options", "settings", "grids"}
GRID_KEYS = {"criterion", "vary", "settings", "options", "prepare"}
TRAINING = {"criterion", "upstreams", "seeds", "tag", "finetune_args"}  # options that scoring does not need


@dataclass(frozen=True)
class Experiment:
    """One point of a grid."""

    grid: str  # its name
    values: dict  # what varies, by key
    tag: str  # ``grid-key1value1-key2value2``; the recipe adds it to the names of models
    options: dict[str, str]  # of enh.sh


@dataclass(frozen=True)
class Ablation:
    """A grid file: the recipe's call, the folder of results, commands before the first call, experiments."""

    run: list[str]
    expdir: Path
    prepare: list[list[str]]
    experiments: list[Experiment]

    def training(self, experiment: Experiment) -> list[str]:
        """The recipe's call that trains an experiment."""
        return self._call({**experiment.options, "stage": 5, "stop-stage": 5})

    def evaluation(self, experiments: list[Experiment]) -> list[str]:
        """The recipe's call that scores models of experiments; their options of stages 6 to 8 are alike."""
        models = [name for e in experiments for name in self.models(e)]
        options = {**shared_options(experiments[0]), "finetuned": " ".join(models)}
        return self._call({**options, "stage": 6, "stop-stage": 8})

    def models(self, experiment: Experiment) -> list[str]:
        """Names of its trained models, one for each criterion, encoder and seed.

        Not those of encoders and seeds that the file named once; what it does not name, the recipe does.
        """
        options = experiment.options
        encoders = [word.split("=")[0] for word in options.get("upstreams", "").split()]
        parts = options["criterion"].split(), encoders, [experiment.tag], options.get("seeds", "").split()
        criterion, encoder, tag, seed = ("|".join(map(re.escape, part)) or r"[^/]+" for part in parts)
        name = re.compile(f"({criterion})_({encoder})_{tag}_seed({seed})")
        found = (path.parent.name for path in self.expdir.glob(f"*_{experiment.tag}_seed*/.finished"))
        return sorted(filter(name.fullmatch, found))

    def _call(self, options: dict) -> list[str]:
        return [*self.run, *(word for key, value in options.items() for word in (f"--{key}", str(value)))]

    def stamp(self, experiment: Experiment, what: str) -> Path:
        """The file that marks an experiment as "trained" or "done" (scored), and holds its options."""
        return self.expdir / "ablation" / what / f"{experiment.tag}.json"

    def mark(self, experiment: Experiment, what: str) -> None:
        """Write that file."""
        write_json(self.stamp(experiment, what), experiment.options)

    def marked(self, experiment: Experiment, what: str) -> bool:
        """Whether it is "trained" or "done" with exactly these options."""
        try:
            return json.loads(self.stamp(experiment, what).read_text(encoding="utf-8")) == experiment.options
        except (OSError, ValueError):
            return False

    def is_trained(self, experiment: Experiment) -> bool:
        """Whether its models exist and were trained with these options."""
        return self.marked(experiment, "trained") and bool(self.models(experiment))


def read_ablation(path: str | Path, grids: Sequence[str] | None = None) -> Ablation:
    """Expand a grid file, or some of its grids.

    A key of a grid without a dot is one of the criterion's (``gamma``); with a dot it is any key of the
    training configuration (``optim_conf.lr``, or ``.max_epoch`` for one at its top).  In the `settings` of
    the whole file, keys are those of the training configuration.

    Raises:
        ConfigError: no such file or grid, unknown or missing keys, values with blanks, two experiments alike.
    """
    config = load(path)
    _check_keys(path, "", config, KEYS, {"run", "expdir", "grids"})
    unknown = set(grids or ()) - set(config["grids"])
    if unknown:
        raise ConfigError(f"{path} has no grid {min(unknown)!r}, but {', '.join(config['grids'])}")
    experiments, prepare = [], []
    for name, grid in config["grids"].items():
        if grids and name not in grids:
            continue
        _check_keys(path, f"grids.{name}", grid, GRID_KEYS, {"criterion", "vary"})
        for key, values in grid["vary"].items():
            if not isinstance(values, list) or not values:
                raise ConfigError(f"{path}: grids.{name}.vary.{key} is {values!r}; give a list of values")
        prepare += map(shlex.split, grid.get("prepare", []))
        keys = list(grid["vary"])
        for point in itertools.product(*grid["vary"].values()):
            values = dict(zip(keys, point, strict=True))
            tag = "-".join([name, *(f"{key.split('.')[-1]}{_short(v)}" for key, v in values.items())])
            if not re.fullmatch(r"[\w.-]+", tag):
                raise ConfigError(
                    f"{path}: grids.{name}: {tag!r} makes no folder name; rename the grid or key"
                )
            settings = dict(config.get("settings") or {})
            for key, value in {**(grid.get("settings") or {}), **values}.items():
                settings[key.removeprefix(".") if "." in key else f"criterions.0.conf.{key}"] = value
            criterion = grid["criterion"]
            options = {
                **{k: str(v) for k, v in {**config.get("options", {}), **grid.get("options", {})}.items()},
                "criterion": criterion if isinstance(criterion, str) else " ".join(criterion),
                "tag": tag,
                "finetune_args": " ".join(f"--set {k}={_word(path, k, v)}" for k, v in settings.items()),
            }
            experiments.append(Experiment(name, values, tag, options))
    tags = [e.tag for e in experiments]
    twice = sorted({tag for tag in tags if tags.count(tag) > 1})
    if twice:
        raise ConfigError(f"{path}: two experiments are called {twice[0]}")
    return Ablation(shlex.split(config["run"]), Path(config["expdir"]), prepare, experiments)


def shared_options(experiment: Experiment) -> dict[str, str]:
    """Options of an experiment that scoring needs: those that do not choose the models."""
    return {key: value for key, value in experiment.options.items() if key not in TRAINING}


def _short(value) -> str:
    """A value as part of a name: 0.1, true, 0.02-0.05."""
    if isinstance(value, list):
        return "-".join(map(_short, value))
    if isinstance(value, bool) or value is None:
        return "-" + ("none" if value is None else str(value).lower())
    return f"{value:g}" if isinstance(value, int | float) else f"-{value}"


def _word(path, key, value) -> str:
    """A value as one word of a command line that the recipe splits at blanks."""
    word = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if re.search(r"\s", word) or not word:
        raise ConfigError(f"{path}: {key} is {value!r}; a recipe's setting cannot hold blanks or be empty")
    return word


def _check_keys(path, where, found, known, needed):
    place = f"{path}: {where}" if where else str(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{place} must be a mapping with {', '.join(sorted(needed))}")
    for key in found:
        if key not in known:
            raise ConfigError(f"{place} has a key {key!r}; known: {', '.join(sorted(known))}")
    for key in sorted(needed):
        if not found.get(key):
            raise ConfigError(f"{place} lacks {key}")
