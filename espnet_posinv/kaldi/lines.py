"""Lines and fields of a file or of standard input."""

from collections.abc import Iterator

from espnet_posinv.kaldi.scp import DataError


def lines_of(path: str | None) -> list[str]:
    """The lines of a file, or of standard input if there is no path or it is '-'."""
    stdin = path in (None, "-")
    # What is not UTF-8 is passed through: splitting a file needs no knowledge of its text.
    with open(
        0 if stdin else path, encoding="utf-8", errors="surrogateescape", newline="\n", closefd=not stdin
    ) as file:
        return file.readlines()


def fields_of(path: str | None, *, exactly: int | None = None, unique: bool = False) -> Iterator[list[str]]:
    """The blank-separated fields of each line of a file or of standard input.

    Raises:
        DataError: a blank line, a number of fields other than ``exactly``, a first field given twice.
    """
    name, seen = path or "standard input", set()
    for number, line in enumerate(lines_of(path), 1):
        fields = line.split()
        if not fields or (exactly and len(fields) != exactly):
            raise DataError(f"{name}:{number}: expected {exactly or 'some'} fields, got {line.strip()!r}")
        if unique and fields[0] in seen:
            raise DataError(f"{name}:{number}: {fields[0]!r} was already given; delete one of the lines")
        seen.add(fields[0])
        yield fields
