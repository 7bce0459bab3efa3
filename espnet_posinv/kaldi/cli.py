"""What the commands share: Kaldi's way of giving options, and errors without traceback."""

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

from espnet_posinv.kaldi.scp import BYTE_ORDER_MARK, DataError, fields

_OPTION = re.compile(r"\A--[A-Za-z][\w-]*")


class Parser(argparse.ArgumentParser):
    """Options are written ``--an-option x`` or ``--an_option=x``; names are never abbreviated."""

    def __init__(self, name: str, description: str):
        super().__init__(
            prog=name,
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
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


def run(name: str, command: Callable[[], int | None]) -> int:
    """Run a command; an error of the data or the system becomes one message and exit status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the locale: data files are UTF-8
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("espnet_posinv"):
            raise
        hint = "activate the project's environment, or set PYTHON to its python"
        print(f"{name}: {error}; {hint}", file=sys.stderr)
        return 1
    except (DataError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1


def positive(text: str) -> int:
    """An option's value that is a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return value


def lines_of(path: str | None) -> list[str]:
    """The lines of a file, or of standard input if there is no path or it is '-'."""
    stdin = path in (None, "-")
    # What is not UTF-8 is passed through: splitting a file needs no knowledge of its text.
    with open(
        0 if stdin else path, encoding="utf-8", errors="surrogateescape", newline="\n", closefd=not stdin
    ) as file:
        return [line.lstrip(BYTE_ORDER_MARK) for line in file]


def fields_of(
    path: str | None, *, exactly: int | None = None, unique: bool = False, blank: bool = False
) -> Iterator[list[str]]:
    """The blank-separated fields of each line of a file or of standard input.

    Raises:
        DataError: a blank line (unless ``blank``), a number of fields other than ``exactly``, a first field
            given twice (if ``unique``).
    """
    name, seen = path or "standard input", set()
    for number, line in enumerate(lines_of(path), 1):
        found = fields(line)
        if (not found and not blank) or (exactly and len(found) != exactly):
            raise DataError(f"{name}:{number}: expected {exactly or 'some'} fields, got {line.strip()!r}")
        if unique and found[0] in seen:
            raise DataError(f"{name}:{number}: {found[0]!r} was already given; delete one of the lines")
        seen.update(found[:1])
        yield found
