"""Training configurations of a recipe: a base YAML file, files that override it, and single keys.

ESPnet takes criterions from YAML only, so a sweep over criterions, encoders or seeds needs one file each.
This merges `conf/finetune.yaml`, `conf/criterion/ssl_mse.yaml` and `criterions.0.conf.upstream=...` into the
configuration an experiment is trained with.
"""

import functools
from pathlib import Path

import yaml

from espnet_posinv.files import atomic_write


class ConfigError(ValueError):
    """A configuration that cannot be merged."""


def load(path):
    """Read one YAML mapping; a ConfigError names file and line if it is none."""
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration {path}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds {type(config).__name__}, a mapping of keys is needed")
    return config


def merge(base, over):
    """`base` overridden by `over`: mappings are merged by key, all else (lists too) is replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {
            **base,
            **{key: merge(base[key], value) if key in base else value for key, value in over.items()},
        }
    return over


def assign(config, dotted, text):
    """Set one key, `a.b.0.c=value` style: digits index lists, the value is read as YAML."""
    *parents, last = dotted.split(".")
    node = config
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = yaml.safe_load(text)
    except (IndexError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"cannot set '{dotted}': no such place in the configuration") from None


def merged(files, settings):
    """The files merged, later ones overriding earlier ones, and then single keys set by `KEY=VALUE`."""
    config = functools.reduce(merge, map(load, files), {})
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set wants KEY=VALUE, not '{setting}'")
        assign(config, key, value)
    return config


def write(config, path):
    """Write the configuration atomically."""
    with atomic_write(path) as file:
        yaml.safe_dump(config, file, sort_keys=False)
