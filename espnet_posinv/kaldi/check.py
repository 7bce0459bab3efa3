"""All problems of a data directory, each with file, line and remedy."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import NamedTuple, TextIO

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.datadir import keyed_by
from espnet_posinv.kaldi.scp import BYTE_ORDER_MARK, as_number, entries
from espnet_posinv.kaldi.scp import fields as words


class Problem(NamedTuple):
    """One problem; ``line`` is 0 if it concerns the whole file."""

    path: str
    line: int
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.what}; {self.todo}"


class Needs(NamedTuple):
    """Required files and properties of a directory."""

    feats: bool = False
    text: bool = True
    wav: bool = True
    spk_sort: bool = True
    extra_utt_files: frozenset[str] = frozenset()


FIX = "run utils/fix_data_dir.sh"
_DECIDE = "decide which is right and delete the other"
_SURROGATE = re.compile("[\udc80-\udcff]")


def check_data_dir(path: str | Path, needs: Needs = Needs()) -> Iterator[Problem]:  # noqa: B008 (immutable)
    """Check the files of a data directory against their formats and against each other.

    Audio is not opened: see :mod:`espnet_posinv.kaldi.check_audio`. One file is in memory at a time. Lists
    with unknown names are not checked, unless `needs` names them.

    Yields:
        Problem: none if the directory is valid.
    """
    path = Path(path)
    if not path.is_dir():
        yield Problem(str(path), 0, "no such directory", "make it, or correct the name")
        return
    files = {p.name for p in path.iterdir() if p.is_file() and not p.name.startswith(".")}
    segmented = "segments" in files
    for kind, needed in (("feats", needs.feats), ("text", needs.text), ("wav", needs.wav)):
        name = kind if kind == "text" else f"{kind}.scp"
        if needed and name not in files:
            yield Problem(f"{path}/{name}", 0, "no such file", f"make it, or give --no-{kind}")
    if "utt2spk" not in files:
        yield Problem(f"{path}/utt2spk", 0, "no such file", "write a line 'utterance speaker' per utterance")
        return
    speaker: dict[str, str] = {}
    yield from _read(path / "utt2spk", speaker, fields=1)
    if needs.spk_sort:
        yield from _speaker_order(path / "utt2spk", speaker)
    spks = set(speaker.values())
    recos: Set[str] = speaker.keys()
    if segmented:
        segments: dict[str, str] = {}
        yield from _read(path / "segments", segments, fields=3, value_problem=_segment_problem)
        yield from _compare(path / "segments", segments, speaker.keys(), "utterance", "utt2spk")
        recos = {words(value)[0] for value in segments.values() if value}
        del segments

    kinds = {name: schema.keyed_by(name, segmented=segmented) for name in files}
    ids: schema.Ids = {"utt": speaker.keys(), "spk": spks, "reco": recos}
    for name in files & needs.extra_utt_files:
        kinds[name] = kinds[name] or schema.keyed_by_keys(path / name, ids)
    for name in sorted(n for n, kind in kinds.items() if kind and n not in ("utt2spk", "segments")):
        file, table = path / name, {}
        yield from _read(file, table, fields=_fields(name), value_problem=_VALUES.get(name))
        if name == "spk2utt":
            yield from _inverse(file, table, speaker)
            continue
        keyed = keyed_by(name, table, speaker, segmented=segmented) or kinds[name]
        noun = {"utt": "utterance", "spk": "speaker", "reco": "recording"}[keyed]
        source = "segments" if segmented and keyed == "reco" else "utt2spk"
        yield from _compare(file, table, ids[keyed], noun, source)


def report(problems: Iterable[Problem], out: TextIO, most: int = 100) -> int:
    """Print problems, at most ``most`` of a kind in a file; returns the number of all problems."""
    counts: dict[tuple[str, str], int] = {}
    for problem in problems:
        kind = (problem.path, re.sub(r"\d+|'[^']*'", "", problem.what))
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= most:
            print(problem, file=out)
    for (path, what), count in counts.items():
        if count > most:
            print(f"{path}: ... and {count - most} more of the kind '{' '.join(what.split())}'", file=out)
    return sum(counts.values())


def _read(
    path: Path,
    table: dict[str, str],
    *,
    fields: int | None = None,
    value_problem: Callable[[str], str | None] | None = None,
) -> Iterator[Problem]:
    """Fill ``table`` with a file's entries (the first one of each key), reporting what is malformed."""
    name = str(path)
    optional_value = schema.empty_values(path.name)
    previous, number = "", 0
    for number, key, value in entries(path, errors="surrogateescape"):
        if not key:
            yield Problem(name, number, "blank line, or blank before the key", FIX)
            continue
        if key in table:
            same = table[key] == value
            what = f"{key!r} is given again with {'the same' if same else 'another'} value"
            yield Problem(name, number, what, FIX if same else _DECIDE)
            continue
        table[key] = value
        if key < previous:
            yield Problem(name, number, f"{key!r} comes after {previous!r}: not sorted (LC_ALL=C)", FIX)
        previous = key
        if not (value.isascii() and key.isascii()) and _SURROGATE.search(key + value):
            yield Problem(name, number, "not UTF-8", "convert the file (iconv)")
        if not value:
            if not optional_value:
                yield Problem(name, number, f"{key!r} has no value", "delete or complete the line")
        elif fields is not None and len(words(value)) != fields:
            what = f"{key!r} has {len(words(value))} values instead of {fields}: {value!r}"
            yield Problem(name, number, what, "correct the line")
        elif value_problem and (what := value_problem(value)):
            yield Problem(name, number, f"{key!r}: {what}", "correct the line")
    if number == 0:
        yield Problem(name, 0, "the file is empty", "fill or delete it")
    else:
        yield from _bytes_problems(path)


def _bytes_problems(path: Path) -> Iterator[Problem]:
    """Line ends and byte-order marks that other tools do not accept."""
    with open(path, "rb") as file:
        file.seek(-1, 2)
        if file.read() != b"\n":
            yield Problem(str(path), 0, "no newline at the end: some tools skip the last line", FIX)
        file.seek(0)
        number = 0
        mark = BYTE_ORDER_MARK.encode()
        while block := file.read(1 << 20):
            if mark in block and (block.startswith(mark) or b"\n" + mark in block):
                yield Problem(str(path), 0, "byte-order mark, which others take for a part of an id", FIX)
                return
            if b"\r" in block:
                line = number + block[: block.index(b"\r")].count(b"\n") + 1
                yield Problem(str(path), line, "carriage return (a DOS line end?)", FIX)
                return
            number += block.count(b"\n")


def _compare(
    path: Path, table: Mapping[str, str], ids: Set[str], noun: str, source: str
) -> Iterator[Problem]:
    """Entries without a counterpart, either way."""
    if extra := table.keys() - ids:
        for number, key, _ in entries(path, errors="surrogateescape"):
            if key in extra:
                yield Problem(str(path), number, f"{noun} {key!r} is not in {source}", FIX)
    for key in sorted(ids - table.keys()):
        todo = f"add it, or {FIX} to drop it everywhere"
        yield Problem(str(path), 0, f"{noun} {key!r} of {source} is missing", todo)


def _inverse(path: Path, table: Mapping[str, str], speaker: Mapping[str, str]) -> Iterator[Problem]:
    """Where spk2utt is not the inverse of utt2spk."""
    for number, spk, value in entries(path, errors="surrogateescape"):
        for utt in words(value) if table.get(spk) == value else ():
            if speaker.get(utt) != spk:
                other = f"has speaker {speaker[utt]!r}" if utt in speaker else "does not exist"
                yield Problem(str(path), number, f"utterance {utt!r} of {spk!r} {other} in utt2spk", FIX)
    listed = {utt for value in table.values() for utt in words(value)}
    for utt in sorted(speaker.keys() - listed):
        yield Problem(str(path), 0, f"utterance {utt!r} of {speaker[utt]!r} is missing", FIX)


def _speaker_order(path: Path, speaker: Mapping[str, str]) -> Iterator[Problem]:
    """In the order of utterances, speakers must be sorted too: tools that merge by speaker need it."""
    previous = ""
    for utt in sorted(speaker):
        spk = speaker[utt]
        if spk < previous:
            what = f"sorted by utterance, speaker {spk!r} (of {utt!r}) comes after {previous!r}"
            todo = "begin utterance ids with the speaker id and '-', or give --no-spk-sort"
            yield Problem(str(path), 0, what, todo)
            return
        previous = spk


def _fields(name: str) -> int | None:
    """Number of values of an entry, if it is fixed."""
    return 1 if name in _VALUES or name in ("utt2uniq", "utt2lang", "utt2category", "utt2snr") else None


def _segment_problem(value: str) -> str | None:
    try:
        start, end = map(float, words(value)[1:])
    except ValueError:
        return f"times that are not numbers: {value!r}"
    return None if start >= 0 and (end > start or end == -1) else f"runs from {start:g} to {end:g} s"


def _number_problem(value: str) -> str | None:
    return None if as_number(value) else f"not a number above 0: {value!r}"


def _count_problem(value: str) -> str | None:
    return None if value.isdecimal() and int(value) > 0 else f"not a whole number above 0: {value!r}"


_VALUES: dict[str, Callable[[str], str | None]] = {
    "utt2dur": _number_problem,
    "reco2dur": _number_problem,
    "utt2num_samples": _count_problem,
    "utt2num_frames": _count_problem,
    "spk2gender": lambda value: None if value in ("m", "f") else f"neither m nor f: {value!r}",
}
