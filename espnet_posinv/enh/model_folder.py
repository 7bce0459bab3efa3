"""The files of a trained model's folder, written so that inference does not need this package.

``config.yaml`` describes the training, and ESPnet builds the model for inference from it, criterions
included, although they are not part of the model.  So our criterions and preprocessor, which serve training
only, move to the key ``posinv``, which ESPnet ignores; ESPnet's own criterions stay in place.
"""

from argparse import Namespace
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from espnet_posinv.criterions import CLASSES, criterion_class
from espnet_posinv.files import atomic_write, read_yaml, replacing

KEY = "posinv"
CRITERIONS = ("criterions", "enh_criterions")  # the second in joint models
PREPROCESSOR = ("preprocessor", "preprocessor_conf")


# A model without criterions; fine-tuning takes its own configuration and --init_param.
INFERENCE = {
    **{"encoder": "same", "encoder_conf": {}, "decoder": "same", "decoder_conf": {}, "model_conf": {}},
    **{"criterions": [], "init": None, "preprocessor": "enh", "preprocessor_conf": {}, "num_spk": 1},
}


def write_model(folder: str | Path, config: Mapping, state: Mapping) -> None:
    """Write ``config.yaml`` and ``model.pth``; the folder is created, each file is replaced at once."""
    import torch

    with atomic_write(Path(folder) / "config.yaml") as file:
        yaml.safe_dump(dict(config), file, sort_keys=False)
    with replacing(Path(folder) / "model.pth") as temporary:
        torch.save(dict(state), temporary)


def write_separator(folder: str | Path, name: str, conf: Mapping, state: Mapping) -> None:
    """Write an enhancement model for inference around a separator with these weights.

    Raises:
        ValueError: the folder holds another model.
    """
    config = {**INFERENCE, "separator": name, "separator_conf": dict(conf)}
    state = {f"separator.{key}": value for key, value in state.items()}
    if not holds(folder, config, state):
        write_model(folder, config, state)


def holds(folder: str | Path, config: Mapping, state: Mapping | None = None) -> bool:
    """Whether the folder has a model of :func:`write_model` with this configuration, and weights if given.

    Raises:
        ValueError: the folder holds another model.
    """
    folder = Path(folder)
    found = [*folder.glob("config.yaml"), *folder.glob("*.pth")]
    if not found:
        return False
    written = found[0].name == "config.yaml" and read_yaml(found[0])
    if written == yaml.safe_load(yaml.safe_dump(dict(config))):
        weights = folder / "model.pth"
        if not weights.exists():  # stopped before they were written
            return False
        if state is None or _equal(weights, state):
            return True
    raise ValueError(
        f"{found[0]}: of another model, or made from other inputs or settings; name another --output-dir"
    )


def _equal(path: Path, state: Mapping) -> bool:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in found)
    except Exception:  # pickle, zip and torch raise their own types
        return False


def move(args: Namespace, names: Collection[str]) -> None:
    """Move criterions and a preprocessor with one of our names to ``args.posinv``."""
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
    """A configuration, with our parts moved back to where the user wrote them.

    >>> as_trained({"criterions": [], "posinv": {"criterions": [{"name": "ssl_mse"}]}, "seed": 0})
    {'criterions': [{'name': 'ssl_mse'}], 'seed': 0}
    """
    return {**{key: value for key, value in config.items() if key != KEY}, **(config.get(KEY) or {})}


def ssl_criterion(path: str | Path) -> dict:
    """Name and conf of the one SSL criterion in a configuration file.

    Raises:
        ValueError: there is none, or several, or an entry of another form.
    """
    config = as_trained(read_yaml(path))
    listed = config.get("criterions") or config.get("enh_criterions") or []
    if not isinstance(listed, list) or not all(map(_is_entry, listed)):
        raise ValueError(f"{path}: criterions: a list is needed, each entry with name and conf (a mapping)")
    found = [item for item in listed if item["name"] in CLASSES]
    if len(found) != 1:
        names = ", ".join(CLASSES)
        raise ValueError(f"{path}: one SSL criterion ({names}) is needed, there are {len(found)}")
    return {**found[0], "conf": dict(found[0].get("conf") or {})}


def _is_entry(item) -> bool:
    return isinstance(item, dict) and "name" in item and isinstance(item.get("conf") or {}, dict)


def build_criterion(path: str | Path, **conf) -> tuple[dict, Any]:
    """The :func:`ssl_criterion` of a file with these further settings, and the criterion built from it.

    Raises:
        ValueError: see there; or the criterion has no such setting, or lacks one.
    """
    entry = ssl_criterion(path)
    entry["conf"] |= conf
    try:
        return entry, criterion_class(entry["name"])(**entry["conf"])
    except TypeError as error:
        raise ValueError(f"{path}: conf of {entry['name']}: {error}") from None
