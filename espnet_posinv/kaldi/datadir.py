"""A Kaldi data directory: its files, the kind of their keys, and writing a new directory."""

import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.scp import DataError, as_number, fields, read_scp, write_scp


class Segment(NamedTuple):
    """Part of a recording, in seconds; ``end`` -1 is the recording's end."""

    reco: str
    start: float
    end: float


class DataDir:
    """The utterances of a data directory; its other files are read on demand.

    Only ids stay in memory, a file's values only while the caller keeps them: a directory of a million
    utterances needs a few hundred MB.

    Args:
        path: the directory.

    Raises:
        DataError: no such directory, no utt2spk or an empty one.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError(f"{path}: no such directory")
        self._files = sorted(p.name for p in self.path.iterdir() if p.is_file() and p.name[0] != ".")
        if "utt2spk" not in self._files:
            raise DataError(f"{path}/utt2spk: no such file; write a line 'utterance speaker' per utterance")
        if not (self.path / "utt2spk").stat().st_size:
            raise DataError(f"{path}/utt2spk: the file is empty; there is no utterance to work on")
        self.segmented = "segments" in self._files

    @cached_property
    def _keyed(self) -> dict[str, schema.Keyed | None]:
        """The kind of keys of each file; None: no ids of this directory."""
        keyed = {name: schema.keyed_by(name, segmented=self.segmented) for name in self._files}
        if None in keyed.values():
            ids = schema.ids_of(self.path)
            for name in [name for name, kind in keyed.items() if kind is None]:
                keyed[name] = schema.keyed_by_keys(self.path / name, ids)
        return keyed

    @property
    def names(self) -> list[str]:
        """Files with utterances, speakers or recordings as keys."""
        return [name for name, kind in self._keyed.items() if kind]

    @property
    def verbatim(self) -> list[Path]:
        """Paths of files that are copied unchanged: lists with other keys, and text that is no list."""
        others = [self.path / name for name, kind in self._keyed.items() if kind is None]
        return [path for path in others if schema.is_text(path)]

    def read(self, name: str) -> dict[str, str]:
        """The entries of one file; DataError names a malformed line."""
        return read_scp(self.path / name, empty_values=schema.empty_values(name))

    def numbers(self, name: str) -> dict[str, float]:
        """The entries of a file of numbers above 0, like utt2dur."""
        table = {}
        for line, (key, value) in enumerate(self.read(name).items(), 1):
            if (number := as_number(value)) is None:
                raise DataError(f"{self.path}/{name}:{line}: {key!r}: not a number above 0: {value!r}")
            table[key] = number
        return table

    @cached_property
    def utt2spk(self) -> dict[str, str]:
        """Speaker of each utterance, in the file's order."""
        table = self.read("utt2spk")
        for line, (utt, spk) in enumerate(table.items(), 1):
            if len(fields(spk)) != 1:
                raise DataError(f"{self.path}/utt2spk:{line}: {utt!r} has more than one speaker: {spk!r}")
        return table

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """Segment of each utterance; empty if recordings are utterances."""
        return read_segments(self.path / "segments") if self.segmented else {}

    @property
    def utts(self) -> Iterable[str]:
        """Utterance ids."""
        return self.utt2spk.keys()

    def reco_of(self, utt: str) -> str:
        """The recording of an utterance: the utterance itself if there are no segments."""
        if not self.segmented:
            return utt
        if utt not in self.segments:
            raise DataError(f"{self.path}/segments: no {utt!r} of utt2spk; run utils/fix_data_dir.sh")
        return self.segments[utt].reco

    def keyed_by(
        self, name: str, table: Mapping[str, str], utts: Container[str] | None = None
    ) -> schema.Keyed:
        """The kind of keys of a file of `names`; `utts`: the utterances, if utt2spk may be wrong."""
        utts = self.utt2spk if utts is None else utts
        return keyed_by(name, table, utts, segmented=self.segmented) or self._keyed[name]


def keyed_by(name: str, keys: Iterable[str], utts: Container[str], *, segmented: bool) -> schema.Keyed | None:
    """The kind of keys of a file; if there are two conventions, its content decides.

    With segments, reference signals (spk1.scp) may be given per recording or per utterance; cmvn.scp
    may be given per speaker or per utterance. None for unknown names.
    """
    keyed = schema.keyed_by(name, segmented=segmented)
    two_ways = name == "cmvn.scp" or (segmented and schema.is_audio(name) and name != "wav.scp")
    return "utt" if two_ways and keys and all(key in utts for key in keys) else keyed


def read_segments(path: str | Path) -> dict[str, Segment]:
    """Read a ``segments`` file: ``utterance recording start end``, times in seconds.

    Raises:
        DataError: not four fields, a time that is no number, or end <= start (and end is not -1).
    """
    segments = {}
    for line, (utt, value) in enumerate(read_scp(path).items(), 1):
        try:
            reco, start, end = fields(value)
            segment = Segment(reco, float(start), float(end))
        except ValueError:
            raise DataError(f"{path}:{line}: expected 'utt reco start end', got {utt!r} {value!r}") from None
        if not (segment.start >= 0 and (segment.end > segment.start or segment.end == -1)):
            raise DataError(f"{path}:{line}: {utt!r} runs from {start} to {end} s; give 0 <= start < end")
        segments[utt] = segment
    return segments


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """The inverse of utt2spk: utterances of a speaker joined by blanks, both in order of appearance."""
    utts: dict[str, list[str]] = {}
    for utt, spk in utt2spk.items():
        utts.setdefault(spk, []).append(utt)
    return {spk: " ".join(u) for spk, u in utts.items()}


def write_data_dirs(
    paths: Sequence[str | Path],
    tables: Iterable[tuple[str, Sequence[Mapping[str, str]]]],
    *,
    verbatim: Iterable[Path] = (),
) -> None:
    """Write data directories; spk2utt is made from utt2spk.

    All files are written to temporary folders first. Then a folder is renamed, or its files are moved into
    the existing directory. An error while files are written leaves the old state. Older data files without a
    new version, which would belong to other utterances, are moved to ``.backup``.

    Args:
        paths: the directories, created if missing.
        tables: (file name, entries for each directory) pairs; may be a generator, so that one file
            is in memory at a time.
        verbatim: files to copy into each directory without a newer file of that name; a newer one belongs to
            the directory, like a list of formatted noises.
    """
    with ExitStack() as stack:
        stages = [stack.enter_context(_staged(Path(path))) for path in paths]
        for name, parts in tables:
            for stage, table in zip(stages, parts, strict=True):
                if name != "spk2utt":
                    write_scp(stage / name, table)
                if name == "utt2spk":
                    write_scp(stage / "spk2utt", spk2utt({u: table[u] for u in sorted(table)}))
        for file in verbatim:
            for path, stage in zip(paths, stages, strict=True):
                there = Path(path) / file.name
                if not there.exists() or there.stat().st_mtime_ns < file.stat().st_mtime_ns:
                    shutil.copyfile(file, stage / file.name)


def write_data_dir(
    path: str | Path, tables: Iterable[tuple[str, Mapping[str, str]]], *, verbatim: Iterable[Path] = ()
) -> None:
    """Write one data directory from (file name, entries) pairs; see :func:`write_data_dirs`."""
    write_data_dirs([path], ((name, [table]) for name, table in tables), verbatim=verbatim)


@contextmanager
def _staged(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes data directory ``path``, or whose files replace those in it."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Files can be moved within a file system only, and a directory may be a mount point.
    there = path.is_dir()
    stage = (path if there else path.parent) / f".{path.name}.{os.getpid()}.stage"
    shutil.rmtree(stage, ignore_errors=True)  # of a killed process with this id
    try:
        stage.mkdir()
        yield stage
        if not there:
            stage.replace(path)
            return
        for file in list(path.iterdir()):
            known = schema.keyed_by(file.name, segmented=False) and file.is_file()
            if known and not (stage / file.name).exists():
                (path / ".backup").mkdir(exist_ok=True)
                file.replace(path / ".backup" / file.name)
        for file in list(stage.iterdir()):
            file.replace(path / file.name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
