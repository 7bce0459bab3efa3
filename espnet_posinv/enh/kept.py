"""The configuration that ESPnet keeps beside a model: inference with it needs nothing of ours.

``config.yaml`` describes the training, and ESPnet builds the model of inference from it, criterions included,
though they are no part of the model.  So what is ours and serves training only moves to the key ``posinv``,
which ESPnet passes over; its own criterions stay where they are.
"""

from argparse import Namespace
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from espnet_posinv.criterions import CLASSES

KEY = "posinv"
CRITERIONS = ("criterions", "enh_criterions")  # the second in joint models
PREPROCESSOR = ("preprocessor", "preprocessor_conf")


def move(args: Namespace, names: Collection[str]) -> None:
    """Move what bears one of our names (criterions, a preprocessor) to ``args.posinv``."""
    ours = dict(getattr(args, KEY, None) or {})
    for key in CRITERIONS:
        listed = getattr(args, key, None) or []
        if any(item["name"] in names for item in listed):
            ours[key] = listed
            setattr(args, key, [item for item in listed if item["name"] not in names])
    if getattr(args, PREPROCESSOR[0], None) in names:
        ours |= {key: getattr(args, key) for key in PREPROCESSOR}
        args.preprocessor, args.preprocessor_conf = None, {}
    if ours:
        setattr(args, KEY, ours)


def as_trained(config: Mapping) -> dict:
    """A configuration, kept or not, with everything where the user wrote it.

    >>> as_trained({"criterions": [], "posinv": {"criterions": [{"name": "ssl_mse"}]}, "seed": 0})
    {'criterions': [{'name': 'ssl_mse'}], 'seed': 0}
    """
    return {**{key: value for key, value in config.items() if key != KEY}, **(config.get(KEY) or {})}


def ssl_criterion(path: str | Path) -> dict:
    """Name and conf of the SSL criterion in a configuration, of which there must be one.

    Raises:
        ValueError: there is none, or several.
    """
    config = as_trained(yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {})
    listed = config.get("criterions") or config.get("enh_criterions") or []
    found = [item for item in listed if item["name"] in CLASSES]
    if len(found) != 1:
        names = ", ".join(CLASSES)
        raise ValueError(f"{path}: one SSL criterion ({names}) is needed, there are {len(found)}")
    return {**found[0], "conf": dict(found[0].get("conf") or {})}
