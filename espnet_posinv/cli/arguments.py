"""Kaldi's style of options, for all commands."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_posinv.kaldi.scp import as_number

_OPTION = re.compile(r"\A--[A-Za-z][\w-]*")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows a default, if there is one and the text does not tell it in words."""

    def _get_help_string(self, action):
        told = "default:" in (action.help or "")
        return action.help if told or action.default in (None, "", []) else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Options are written ``--an-option x`` or ``--an_option=x``; names are never abbreviated."""

    def __init__(self, name: str, description: str):
        super().__init__(
            prog=name,
            description=description,
            allow_abbrev=False,
            formatter_class=_Help,
        )

    def parse_known_args(self, args=None, namespace=None):
        """Parse after writing each option as ``--an-option=value``: a value may begin with dashes."""
        rest = iter(sys.argv[1:] if args is None else args)
        written = []
        for arg in rest:
            arg = _OPTION.sub(lambda option: option[0].replace("_", "-"), arg)
            action = self._option_string_actions.get(arg)
            value = next(rest, None) if arg.startswith("--") and action and action.nargs is None else None
            written.append(arg if value is None else f"{arg}={value}")
        return super().parse_known_args(written, namespace)


def boolean(text: str) -> bool:
    """An option's value true or false, as Kaldi's scripts write it."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return text == "true"


def positive(text: str) -> int:
    """An option's value that is a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return value


def above_zero(text: str) -> float:
    """An option's value that is a number above 0."""
    value = as_number(text)
    if value is None:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def keep_apart(
    writes: Mapping[str, Iterable[str | Path]], reads: Mapping[str, Iterable[str | Path | None]]
) -> None:
    """Stop before a command overwrites a file that it reads, or one that it has written.

    Args:
        writes, reads: files by option; an empty path is none.

    Raises:
        ValueError: one file under two options, or twice under one that writes.
    """
    known = {os.path.realpath(path): option for option, paths in reads.items() for path in paths if path}
    for option, path in ((option, path) for option, paths in writes.items() for path in paths if path):
        real = os.path.realpath(path)
        if real in known and (os.path.isfile(real) or not os.path.exists(real)):  # a device takes several
            raise ValueError(f"{option} {path}: {known[real]} has the same file; name another")
        known[real] = option


def add_downloads(parser: argparse.ArgumentParser, default: str) -> None:
    """The options of commands that fetch archives."""
    parser.add_argument("--downloads", type=Path, default=Path(default), help="folder for downloads")
    what = "your own folder of archives, searched first"
    parser.add_argument("--archives", type=Path, action="append", default=[], help=what)
