"""Files of the form ``key value``, one entry a line: strict reading, atomic writing."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from espnet_posinv.files import atomic_write

#: Written before UTF-8 text by some programs, and in later lines of joined files; never part of an id.
BYTE_ORDER_MARK = "\ufeff"


class DataError(ValueError):
    """A problem of a data file, as ``file:line: problem; remedy``."""


def listed(errors: list[str], *advice: str) -> DataError:
    """One error of many: the first 20 lines, how many more there are, and the advice."""
    more = [f"... and {len(errors) - 20} more"] if len(errors) > 20 else []
    return DataError("\n".join([*errors[:20], *more, *advice]))


def entries(path: str | Path, *, errors: str = "strict") -> Iterator[tuple[int, str, str]]:
    """Each line of a file as (line number, key, value); only the encoding is checked.

    The separators are ASCII blanks only: transcripts may hold other Unicode spaces, at some of which
    ``str.splitlines`` would split. The value of an entry without one is "". A byte-order mark before a key is
    removed. With ``errors="surrogateescape"`` bytes that are not UTF-8 become lone surrogates.

    Raises:
        DataError: there is no such file, or it is not UTF-8.
    """
    try:
        with open(path, encoding="utf-8", errors=errors, newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.startswith(BYTE_ORDER_MARK):
                    line = line.lstrip(BYTE_ORDER_MARK)
                key, blank, value = line.partition(" ")
                if "\t" in key:
                    key, blank, value = line.partition("\t")
                yield number, key if blank else key.rstrip("\r\n"), value.strip(" \t\r\n")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder; name a file in it") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}:{_undecodable_line(path)}: not UTF-8; convert the file (iconv)") from None


def read_scp(path: str | Path, *, empty_values: bool = False) -> dict[str, str]:
    """The entries of a file with a key in the first column, in its order.

    Raises:
        DataError: a blank line, an entry without a value (unless `empty_values`), or a key given twice.
    """
    table: dict[str, str] = {}
    for number, key, value in entries(path):
        if not key:
            raise DataError(f"{path}:{number}: blank line or blank before the key; run utils/fix_data_dir.sh")
        if not value and not empty_values:
            raise DataError(f"{path}:{number}: {key!r} has no value; complete or delete the line")
        if key in table:
            first = next(n for n, k, _ in entries(path) if k == key)
            raise DataError(f"{path}:{number}: key {key!r} was already given in line {first}; delete one")
        table[key] = value
    return table


def fields(value: str) -> list[str]:
    """The words of a value, separated by ASCII blanks as in `entries`; an id may hold other spaces."""
    return re.findall(r"[^ \t\r\n]+", value)


def as_number(text: str) -> float | None:
    """The value as a number above 0, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def write_scp(path: str | Path, table: Mapping[str, str]) -> None:
    """Write entries sorted by key in C locale (code points sort as their UTF-8 bytes do), atomically."""
    with atomic_write(path) as file:
        for key in sorted(table):
            value = table[key]
            file.write(f"{key} {value}\n" if value else f"{key}\n")


def _undecodable_line(path: str | Path) -> int:
    """Number of the first line that is not UTF-8."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
