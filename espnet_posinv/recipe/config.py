"""Training configurations of a recipe: a base YAML, files laid over it, and single keys set from outside.

ESPnet takes criterions from YAML only, so a sweep over criterions, encoders or seeds needs one file each.
This merges `conf/finetune.yaml`, `conf/criterion/ssl_mse.yaml` and `criterions.0.conf.upstream=...` into the
configuration an experiment is trained with, and keeps it beside the experiment: an experiment folder never
continues with a configuration other than the one it was started with.
"""

import argparse
import functools
import sys
from pathlib import Path

import yaml

from espnet_posinv.files import atomic_write


class ConfigError(ValueError):
    """A configuration that cannot be merged, or that is not the one the experiment was started with."""


def load(path):
    """Read one YAML mapping; raise ConfigError naming file and line when it is not one."""
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
    """Lay `over` over `base`: mappings merge key by key, everything else (lists too) replaces."""
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
    """What files make, later ones laid over earlier ones, with single keys set, each as `KEY=VALUE`."""
    config = functools.reduce(merge, map(load, files), {})
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set wants KEY=VALUE, not '{setting}'")
        assign(config, key, value)
    return config


def flatten(config, prefix=""):
    """Yield (dotted key, value) of every leaf."""
    items = (
        config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    )
    if not items:
        yield prefix, config
    for key, value in items:
        yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))


def differences(old, new):
    """Lines 'key: old -> new' for every leaf in which two configurations differ."""
    old, new = dict(flatten(old)), dict(flatten(new))
    return [
        f"{key}: {old.get(key, '(not set)')} -> {new.get(key, '(not set)')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key, "(not set)") != new.get(key, "(not set)")
    ]


def write(config, path):
    """Write the configuration atomically, or raise ConfigError when another one stands there already."""
    path = Path(path)
    if path.exists():
        changed = differences(load(path), config)
        if changed:
            raise ConfigError(
                f"{path.parent} was started with another configuration:\n  "
                + "\n  ".join(changed)
                + "\nremove that folder, or give the new experiment another tag (--tag)"
            )
        return
    with atomic_write(path) as file:
        yaml.safe_dump(config, file, sort_keys=False)


def main(argv=None):
    """Command line: merge files and settings into one configuration file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. optim_conf.lr=0.0001"
    )
    parser.add_argument("--output", required=True, help="the merged file")
    parser.add_argument("files", nargs="+", help="base first; later files win")
    args = parser.parse_args(argv)
    try:
        write(merged(args.files, args.set), args.output)
    except ConfigError as error:
        print(f"config: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
