"""Recognise the utterances of wav.scp files in several processes; killed, it goes on where it was.

An output folder holds ``text`` when it is complete, and ``decode.json``: the recogniser's settings and a
fingerprint of the audio. Until then ``text.partial`` collects finished utterances. Both are trusted only as
long as settings and audio are those of decode.json.
"""

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp, write_scp
from espnet_posinv.kaldi.state import fingerprint


class Recogniser(Protocol):
    """Settings of a recogniser; hashable and picklable, so that each process can load the model once."""

    def settings(self) -> dict:
        """JSON-like values that determine the output."""

    def transcribe(self, wav) -> str:
        """Text of one utterance (T,), float32, 16 kHz."""


class Item(NamedTuple):
    """An utterance of a set."""

    folder: Path
    utterance: str
    entry: str


def decode(recogniser: Recogniser, jobs: Sequence[tuple[str | Path, str | Path]], *, nj: int = 1) -> int:
    """Recognise several sets of utterances with one recogniser.

    Args:
        recogniser: what turns a waveform into text.
        jobs: pairs of a wav.scp (mono, 16 kHz) and an output folder, all folders distinct.
        nj: processes.

    Returns:
        Number of utterances recognised now; those of earlier runs are not counted.

    Raises:
        DataError: an utterance cannot be read or recognised; its id is named, and what was finished is kept.
    """
    sets = Sets(recogniser, jobs)
    todo = sets.todo()
    label = f"recognising {len(todo)} utterances of {len(sets.tables)} sets"
    texts = parallel_map(functools.partial(_recognise, recogniser), todo, label=label, jobs=nj)
    for item, text in zip(todo, texts, strict=True):
        sets.add(item, text)
    return len(todo)


class Sets:
    """What of several wav.scp files is recognised already, what is left, and where new texts go."""

    def __init__(self, recogniser: Recogniser, jobs: Sequence[tuple[str | Path, str | Path]]):
        settings = recogniser.settings()
        self.tables = {Path(folder): read_scp(scp) for scp, folder in jobs}
        if len(self.tables) < len(jobs):
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

    def add(self, item: Item, text: str) -> None:
        """Keep a text; the last one of a set completes its file."""
        self.done[item.folder][item.utterance] = text
        with open(item.folder / "text.partial", "a", encoding="utf-8") as file:
            file.write(f"{item.utterance} {text}\n")
        self._finish_if_complete(item.folder)

    def _finish_if_complete(self, folder: Path) -> None:
        texts = self.done[folder]
        if len(texts) == len(self.tables[folder]) and not (folder / "text").exists():
            write_scp(folder / "text", texts)
            (folder / "text.partial").unlink(missing_ok=True)


def _recognise(recogniser: Recogniser, item: Item) -> str:
    try:
        samples = read_mono(item.entry)
        return recogniser.transcribe(samples.astype("float32"))
    except Exception as error:  # whatever a back end raises, the user must learn where
        raise DataError(f"utterance {item.utterance}: {error}") from error


def begin(folder: Path, table: dict[str, str], settings: dict) -> dict[str, str]:
    """Texts of earlier runs that are still valid; without any, the folder is made ready for new ones."""
    description = {"recogniser": settings, "audio": fingerprint(table)}
    record, text, partial = (folder / name for name in ("decode.json", "text", "text.partial"))
    if record.exists() and json.loads(record.read_text(encoding="utf-8")) == description:
        if text.exists():
            return read_scp(text, empty_values=True)
        return _read_partial(partial)
    text.unlink(missing_ok=True)
    partial.unlink(missing_ok=True)
    with atomic_write(record) as file:
        file.write(json.dumps(description, indent=1, sort_keys=True) + "\n")
    return {}


def _read_partial(path: Path) -> dict[str, str]:
    """Finished utterances; a last line cut off by a kill is removed from the file, too."""
    if not path.exists():
        return {}
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    os.truncate(path, len(whole))
    lines = (line.partition(" ") for line in whole.decode().split("\n")[:-1])
    return {utterance: text for utterance, _, text in lines}
