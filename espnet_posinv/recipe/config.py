"""Training configurations of a recipe: a base YAML file, files that override it, and single keys.

ESPnet takes criterions from YAML only, so a sweep over criterions, encoders or seeds needs one file each.
This merges `conf/finetune.yaml`, `conf/criterion/ssl_mse.yaml` and `criterions.0.conf.upstream=...` into the
configuration an experiment is trained with.
"""

import functools

import yaml

from espnet_posinv.files import atomic_write, read_yaml


class ConfigError(ValueError):
    """A configuration that cannot be merged."""


def load(path):
    """Read one YAML mapping; a ConfigError names file and line if it is none."""
    try:
        return read_yaml(path)
    except ValueError as error:
        raise ConfigError(str(error)) from None


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
        value = yaml.safe_load(text)
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = value
    except yaml.YAMLError as error:
        what = getattr(error, "problem", error)
        raise ConfigError(f"cannot set '{dotted}': {text!r} is not YAML ({what})") from None
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
