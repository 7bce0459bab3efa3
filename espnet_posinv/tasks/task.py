"""The interface of tasks, and scoring from wav.scp files and labels to a JSON file."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from espnet_posinv.asr.backend import find_class, from_spec
from espnet_posinv.files import write_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.scoring.metrics import Undefined

TASKS = ("speaker", "classify")


@dataclass(frozen=True)
class Data:
    """The input of a task's score.

    Args:
        vectors: a vector for each utterance of the audio under test.
        clean: vectors of the same utterances before noise and enhancement; empty if not given.
        labels: of each utterance.
        speakers: of each utterance; empty if not given.
        undefined: why an utterance has no vector, as silence.
    """

    vectors: Mapping[str, np.ndarray]
    clean: Mapping[str, np.ndarray]
    labels: Mapping[str, str]
    speakers: Mapping[str, str]
    undefined: Mapping[str, str] = field(default_factory=dict)


class Task(Protocol):
    """Settings of a task; hashable and picklable, so that each process can load the model once."""

    def settings(self) -> dict:
        """JSON-compatible values that determine the score."""

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """A vector (D,) for one utterance (T,), float32, 16 kHz.

        Raises:
            Undefined: there is no vector; the utterance is reported and left out.
        """

    def evaluate(self, data: Data) -> dict:
        """Scores: ``{"total": {NAME: {"value", "low", "high"}}, "facts": {...}, "utterances": {...}}``.

        Values are per cent or plain numbers, low and high a 95 % interval or None. Facts are counts;
        utterances hold the results of single utterances. "notes", texts to be shown, may follow.
        """


def build(task: str, spec: str) -> Task:
    """A task from its name, one of `TASKS` or a module of yours, and ``MODEL,name=value,...``.

    Raises:
        ValueError: no such task or setting.
    """
    return from_spec(find_class(task, "espnet_posinv.tasks", TASKS, "TASK"), spec)


def score(
    task: Task,
    wav_scp: str | Path,
    labels: str | Path,
    output: str | Path,
    *,
    clean_scp: str | Path | None = None,
    utt2spk: str | Path | None = None,
    nj: int = 1,
) -> dict:
    """Score a task on a set of utterances, write a JSON file, and return its contents.

    Args:
        wav_scp: audio under test, mono, 16 kHz.
        labels: file ``utterance label``; may hold more utterances.
        clean_scp: the same utterances before noise and enhancement, for tasks that learn or enrol on them.
        utt2spk: speakers, for tasks that must keep them apart.

    Raises:
        DataError: utterances without label, speaker or clean audio; audio that cannot be read.
    """
    wavs = read_scp(wav_scp)
    if not wavs:
        raise DataError(f"{wav_scp}: holds no utterance")
    tables = {name: read_scp(path) if path else {} for name, path in (("clean", clean_scp), ("spk", utt2spk))}
    tables["labels"] = read_scp(labels)
    for name, path in (("clean", clean_scp), ("spk", utt2spk), ("labels", labels)):
        if path and (lacking := wavs.keys() - tables[name].keys()):
            raise DataError(
                f"{path}: {len(lacking)} utterances of {wav_scp} are not in it, like {min(lacking)}"
            )
    tables = {name: {key: table[key] for key in wavs if key in table} for name, table in tables.items()}
    vectors = _embed(task, wavs, nj)
    same = tables["clean"] == wavs
    clean = vectors if same else _embed(task, tables["clean"], nj)
    undefined = {key: why for found in (clean, vectors) for key, why in found.items() if isinstance(why, str)}
    if len(undefined) == len(wavs):
        name, why = min(undefined.items())
        raise DataError(f"{wav_scp}: no utterance has a vector, like {name}: {why}")
    tables = {name: _without(undefined, table) for name, table in tables.items()}
    vectors = _without(undefined, vectors)
    clean = vectors if same else _without(undefined, clean)
    result = task.evaluate(Data(vectors, clean, tables["labels"], tables["spk"], undefined))
    record = {"settings": task.settings(), "clean": clean_scp is not None, "labels": Path(labels).name}
    if undefined:
        record["undefined"] = result["undefined"] = undefined
    write_json(output, {**record, **result}, ensure_ascii=False)
    return result


def _without(undefined: Mapping[str, str], table: dict) -> dict:
    return {key: value for key, value in table.items() if key not in undefined}


def _embed(task: Task, wavs: dict[str, str], nj: int) -> dict[str, np.ndarray | str]:
    """The vector of each utterance, or why it has none."""
    label = f"vectors of {len(wavs)} utterances"
    vectors = parallel_map(functools.partial(_embed_one, task), list(wavs.items()), label=label, jobs=nj)
    return dict(zip(wavs, vectors, strict=True))


def _embed_one(task: Task, item: tuple[str, str]) -> np.ndarray | str:
    import torch

    torch.set_num_threads(1)  # one process a core
    name, entry = item
    try:
        vector = np.asarray(task.embed(read_mono(entry).astype("float32")), dtype=float)
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise DataError(f"{entry}: the model gives no finite vector")
    except Undefined as error:
        return str(error)
    except Exception as error:  # of any type: name the utterance
        raise DataError(f"utterance {name}: {error}") from error
    return vector
