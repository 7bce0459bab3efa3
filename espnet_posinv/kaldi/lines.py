"""Lines and fields of a file or of standard input."""

from collections.abc import Iterator

from espnet_posinv.kaldi.scp import BYTE_ORDER_MARK, DataError, fields


def lines_of(path: str | None) -> list[str]:
    """The lines of a file, or of standard input if there is no path or it is '-'."""
    stdin = path in (None, "-")
    # Bytes that are not UTF-8 are kept.
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
