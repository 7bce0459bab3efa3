"""Recognise the utterances of wav.scp files in several processes; can be resumed after a kill.

A complete output folder holds ``text`` and ``decode.json``: the recogniser's settings, a fingerprint of the
audio, and a hash of the text. Until then ``text.partial`` collects finished utterances. Both files are used
only if settings and audio are still those in decode.json. ``cut_off`` lists the utterances whose transcripts
reached the recogniser's limit of tokens, if any.
"""

import functools
import hashlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from espnet_posinv.files import complete_lines, read_json, write_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.entry import fingerprint
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, entries, read_scp, write_scp


class CutOff(UserWarning):
    """A transcript ended at the recogniser's limit of tokens, before the end of the speech."""


class Recogniser(Protocol):
    """Settings of a recogniser; hashable and picklable, so that each process can load the model once.

    Where a transcript ends at a limit of the recogniser, `transcribe` warns with :class:`CutOff`.
    """

    def settings(self) -> dict:
        """JSON-compatible values that determine the output."""

    def transcribe(self, wav) -> str:
        """Text of one utterance (T,), float32, 16 kHz."""


class Item(NamedTuple):
    """An utterance of a set."""

    folder: Path
    utterance: str
    entry: str


def decode(recogniser: Recogniser, jobs: Sequence[tuple[str | Path, str | Path]], *, nj: int = 1) -> int:
    """Recognise several sets of utterances; returns the number of utterances recognised in this run.

    Each of `jobs` is a wav.scp (mono, 16 kHz) and an output folder, all folders distinct.

    Raises:
        DataError: an utterance cannot be read or recognised; finished utterances are kept.
    """
    sets = Sets(recogniser, jobs)
    todo = sets.todo()
    label = f"recognising {len(todo)} utterances of {len(sets.tables)} sets"
    texts = parallel_map(functools.partial(_recognise, recogniser), todo, label=label, jobs=nj)
    for item, (text, note) in zip(todo, texts, strict=True):
        sets.add(item, text, note)
    sets.report()
    return len(todo)


class Sets:
    """Several wav.scp files: which utterances are recognised, which are left, and where new texts go."""

    def __init__(self, recogniser: Recogniser, jobs: Sequence[tuple[str | Path, str | Path]]):
        settings = recogniser.settings()
        self.tables = {Path(folder): read_scp(scp) for scp, folder in jobs}
        if len({folder.resolve() for folder in self.tables}) < len(jobs):
            raise DataError("two wav.scp files have the same output folder; give each its own")
        for scp, folder in jobs:
            if not self.tables[Path(folder)]:
                raise DataError(f"{scp}: holds no utterance; make the data directory again")
        self.done = {folder: begin(folder, table, settings) for folder, table in self.tables.items()}
        for folder in self.tables:
            self._finish_if_complete(folder)

    def todo(self) -> list[Item]:
        """Utterances without text."""
        return [
            Item(folder, utterance, entry)
            for folder, table in self.tables.items()
            for utterance, entry in table.items()
            if utterance not in self.done[folder]
        ]

    def add(self, item: Item, text: str, note: str = "") -> None:
        """Keep a text, and a note if it was cut off; the last one of a set completes its file."""
        if note:
            with open(item.folder / "cut_off", "a", encoding="utf-8") as file:
                file.write(f"{item.utterance} {note}\n")
        self.done[item.folder][item.utterance] = text
        with open(item.folder / "text.partial", "a", encoding="utf-8") as file:
            file.write(f"{item.utterance} {text}\n")
        self._finish_if_complete(item.folder)

    def report(self) -> None:
        """Print which transcripts were cut off."""
        for folder in self.tables:
            if names := sorted(read_cut_off(folder)):
                print(
                    f"{folder}: the transcripts of {len(names)} utterances were cut off, like {names[0]}; "
                    f"see {folder}/cut_off",
                    file=sys.stderr,
                )

    def _finish_if_complete(self, folder: Path) -> None:
        texts = self.done[folder]
        if len(texts) == len(self.tables[folder]) and not (folder / "text").exists():
            record = folder / "decode.json"
            write_json(record, {**read_json(record), "text": _hash(texts)}, sort_keys=True)
            write_scp(folder / "text", texts)
            (folder / "text.partial").unlink(missing_ok=True)


def read_cut_off(folder: Path) -> dict[str, str]:
    """Utterances whose transcripts reached the recogniser's limit of tokens, with the message."""
    path = folder / "cut_off"
    return {key: value for _, key, value in entries(path)} if path.exists() else {}


def _recognise(recogniser: Recogniser, item: Item) -> tuple[str, str]:
    """Text, and a note if it was cut off."""
    try:
        samples = read_mono(item.entry)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CutOff)
            text = recogniser.transcribe(samples.astype("float32"))
        for warning in caught:
            if not issubclass(warning.category, CutOff):
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        text = " ".join(text.split())  # an entry is one line
        return text, next((str(w.message) for w in caught if issubclass(w.category, CutOff)), "")
    except Exception as error:  # of any type: name the utterance
        raise DataError(f"utterance {item.utterance}: {error}") from error


def begin(folder: Path, table: dict[str, str], settings: dict) -> dict[str, str]:
    """Texts of earlier runs that are still valid; if there are none, the folder is prepared for new ones.

    Raises:
        DataError: the text is not what the recogniser gave, or not of this program.
    """
    description = {"recogniser": settings, "audio": fingerprint(table)}
    record, text, partial = (folder / name for name in ("decode.json", "text", "text.partial"))
    found = read_json(record) if record.exists() else {}
    written = found.pop("text", None)
    if found == description:
        if text.exists():
            texts = read_scp(text, empty_values=True)
            if texts.keys() != table.keys() or written not in (None, _hash(texts)):
                raise DataError(
                    f"{text}: changed since posinv decode wrote it ({len(texts)} utterances, recognised were "
                    f"{len(table)}); delete it to recognise again, or name another --output-dir"
                )
            return texts
        lines = (line.partition(" ") for line in complete_lines(partial, repair=True))
        return {utterance: text for utterance, _, text in lines}
    if text.exists() and not record.exists():
        raise DataError(
            f"{text}: not of posinv decode (no {record.name} beside it); name another --output-dir"
        )
    text.unlink(missing_ok=True)
    partial.unlink(missing_ok=True)
    (folder / "cut_off").unlink(missing_ok=True)
    write_json(record, description, sort_keys=True)
    return {}


def _hash(texts: dict[str, str]) -> str:
    return hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()
