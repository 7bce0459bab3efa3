"""A journal of the audio files in a folder and their sources, so that an interrupted run can resume."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError


class Entry(NamedTuple):
    """An output: a mark of its source and options, its path, and its samples per channel."""

    mark: str
    path: str
    samples: int

    def is_there(self) -> bool:
        """Whether the file exists and is not empty."""
        return os.path.isfile(self.path) and os.path.getsize(self.path) > 0


NOTHING = Entry("-", "-", 0)  # cancels earlier entries


def bind(folder: Path, scp: Path) -> None:
    """Reserve a folder for one signal: files of two signals, named by utterance, would overwrite each other.

    Raises:
        DataError: the folder belongs to a file of another name.
    """
    note = folder / ".source"
    if note.exists() and (owner := note.read_text(encoding="utf-8").strip()) != scp.name:
        raise DataError(f"{folder}: holds the audio of {owner}; use another folder for {scp}")
    with atomic_write(note) as file:
        file.write(f"{scp.name}\n")


def read(folder: Path) -> dict[str, Entry]:
    """The newest entry of each utterance."""
    newest: dict[str, tuple[int, Entry]] = {}
    for journal in folder.glob(".journal.*"):
        for line in journal.read_text(encoding="utf-8").split("\n"):
            fields = line.split("\t")
            if len(fields) == 5:  # the last line of a killed process may be incomplete
                when, utt, mark, samples, path = fields
                if utt not in newest or newest[utt][0] <= int(when):
                    newest[utt] = (int(when), Entry(mark, path, int(samples)))
    return {utt: entry for utt, (_, entry) in newest.items()}


@contextmanager
def append(folder: Path) -> Iterator[TextIO]:
    """A file for new entries, one for each process, since hosts may share the folder."""
    with open(folder / f".journal.{os.uname().nodename}.{os.getpid()}", "a", encoding="utf-8") as file:
        yield file


def line(utt: str, entry: Entry) -> str:
    """The line of an entry."""
    return f"{time.time_ns()}\t{utt}\t{entry.mark}\t{entry.samples}\t{entry.path}\n"
