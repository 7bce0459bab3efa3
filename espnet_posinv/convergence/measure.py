"""Measurements of all checkpoints of fine-tunings on one development set, for convergence curves.

Each checkpoint gets word errors of a recogniser, signal metrics, and the values of several criterions. Random
draws of a criterion depend on the utterance id, so they are the same for all checkpoints. The results of a
checkpoint are in ``<experiment>/convergence/<n>epoch.json``; it is measured again only if an input changes.
"""

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_posinv.asr.decode import Recogniser
from espnet_posinv.criterions import PAPER, criterion_class
from espnet_posinv.files import file_hash, read_json, write_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.entry import fingerprint
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.report.systems import System
from espnet_posinv.report.training import read_scalars, read_training
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.fingerprint import encoder_fingerprint

FILES = ("wav.scp", "spk1.scp", "text")
Measured = dict[str, list[tuple["Point", dict]]]  # by experiment: checkpoints with {utterance: scores}


class Point(NamedTuple):
    """One checkpoint: number of updates, and seconds spent in updates."""

    checkpoint: Path
    updates: int
    seconds: float

    @property
    def record(self) -> Path:
        """The file of its results."""
        return self.checkpoint.parent / "convergence" / f"{self.checkpoint.stem}.json"


@dataclass(frozen=True)
class Measures:
    """The measurements at each checkpoint.

    Args:
        recogniser: see :mod:`espnet_posinv.asr`.
        language: of the development set's text.
        upstream: encoder of the criterions, like ``whisper:FOLDER``; their other keys have default values.
        signal: names out of :data:`espnet_posinv.scoring.metrics.METRICS`.
        criterions: names.
        device: of models and criterions; not an input of the results. A recogniser has its own.
    """

    recogniser: Recogniser
    language: str
    upstream: str
    signal: tuple[str, ...] = ("si_sdr", "estoi")
    criterions: tuple[str, ...] = PAPER
    device: str = "cpu"


def points(experiment: str | Path) -> list[Point]:
    """The checkpoints of a fine-tuning, beginning with the model it started from, at 0 updates.

    Seconds are the trainer's time of an update (reading data, forward, backward, step) times the number of
    updates, without validation, saving and pauses before a training is resumed.

    Raises:
        DataError: not a fine-tuning by ESPnet, or checkpoints are missing.
    """
    experiment = Path(experiment)
    config = read_training(experiment).config
    init = [str(item).split(":")[0] for item in config.get("init_param") or []]
    if len(init) != 1:
        raise DataError(
            f"{experiment}/config.yaml: init_param is {init}; a curve begins at one initial model"
        )
    if Path(init[0]).is_dir():
        raise DataError(
            f"{experiment}/config.yaml: init_param {init[0]} is a folder, as of posinv finetune, which keeps "
            "no checkpoints; a curve needs those of a training by ESPnet's trainer"
        )
    if not Path(init[0]).is_file():
        raise DataError(
            f"{init[0]}: the initial model of {experiment} does not exist; run from the recipe's folder"
        )
    scalars = read_scalars(experiment / "tensorboard/train")
    if not {"iter_epoch", "train_time"} <= scalars.keys():
        raise DataError(
            f"{experiment}/tensorboard/train: no finished epoch; train with use_tensorboard: true"
        )
    times = dict(zip(scalars["train_time"].updates, scalars["train_time"].values, strict=True))
    found = [Point(Path(init[0]), 0, 0.0)]
    batches, missing = 0, []
    for count, epoch in zip(scalars["iter_epoch"].updates, scalars["iter_epoch"].values, strict=True):
        checkpoint = experiment / f"{round(epoch)}epoch.pth"
        updates = (count - batches) // (config.get("accum_grad") or 1)
        seconds = found[-1].seconds + updates * times[count]
        found.append(Point(checkpoint, found[-1].updates + updates, seconds))
        batches = count
        if not checkpoint.is_file():
            missing.append(checkpoint.name)
    if missing:
        raise DataError(
            f"{experiment}: {', '.join(missing)} not kept; train again with keep_nbest_models: "
            f"{config.get('max_epoch', len(found) - 1)} (at least max_epoch)"
        )
    if len(found) < 3:
        raise DataError(f"{experiment}: {len(found) - 1} epoch(s) trained; a curve needs at least two")
    return found


def upstream_of(systems: Iterable[System]) -> str:
    """The encoder that all systems were trained with.

    Raises:
        DataError: there is none, or several.
    """
    found = {system.upstream for system in systems} - {""}
    if len(found) != 1:
        raise DataError(f"the experiments have upstreams {sorted(found)}; name one for all with --upstream")
    return found.pop()


def measure(
    experiments: Sequence[str | Path], data: str | Path, measures: Measures, *, nj: int = 1
) -> Measured:
    """Measure every checkpoint that is not measured yet.

    Args:
        experiments: folders of fine-tunings with all epochs' checkpoints.
        data: folder with wav.scp (noisy), spk1.scp (clean) and text, mono, 16 kHz.
        nj: processes, each for one checkpoint at a time.

    Returns:
        ``{experiment: [(point, {utterance: scores})]}``, scores being S, D, I, N, and the value of each
        signal metric (None where it is undefined) and criterion.

    Raises:
        DataError: see :func:`points`; ids differ between the files of `data`, or audio is bad.
    """
    curves = {Path(folder).name: points(folder) for folder in experiments}
    lists = _lists(Path(data))
    inputs = {
        "data": [fingerprint(lists["wav.scp"]), fingerprint(lists["spk1.scp"]), lists["text"]],
        "recogniser": measures.recogniser.settings(),
        "criterions": {
            "names": list(measures.criterions),
            "encoder": encoder_fingerprint(measures.upstream),
        },
        "language": measures.language,
        "signal": list(measures.signal),
    }
    todo = {}
    for point in (point for curve in curves.values() for point in curve):
        expected = {**inputs, "model": file_hash(point.checkpoint)}
        if not point.record.exists() or read_json(point.record).get("inputs") != expected:
            todo[point.checkpoint] = (point, expected)
    one = functools.partial(_measure, measures, lists)
    for _ in parallel_map(one, list(todo.values()), label=f"measuring {len(todo)} checkpoints", jobs=nj):
        pass
    return {
        name: [(point, read_json(point.record)["utterances"]) for point in curve]
        for name, curve in curves.items()
    }


def _measure(measures: Measures, lists: dict[str, dict[str, str]], item: tuple[Point, dict]) -> None:
    import torch

    from espnet_posinv.criterions.batch import batch_info
    from espnet_posinv.enh.enhancer import Enhancer
    from espnet_posinv.scoring.metrics import FUNCTIONS, Undefined
    from espnet_posinv.scoring.wer import count_errors
    from espnet_posinv.text.normalize import normalize

    torch.set_num_threads(1)  # one process a core
    point, inputs = item
    enhancer = Enhancer.from_pretrained(
        point.checkpoint.parent, point.checkpoint.name, device=measures.device
    )
    criterions = _criterions(measures.criterions, measures.upstream, os.getpid())
    noisy, clean, texts = (lists[name] for name in FILES)
    scores = {}
    for utterance in sorted(noisy):
        signals = [read_mono(table[utterance], utterance=utterance) for table in (noisy, clean)]
        if len(signals[0]) != len(signals[1]):
            raise DataError(
                f"utterance {utterance}: {len(signals[0])} noisy samples, {len(signals[1])} clean"
            )
        enhanced = enhancer(signals[0].astype(np.float32), SAMPLE_RATE)
        hypothesis = measures.recogniser.transcribe(enhanced)
        row = count_errors(*(normalize(t, measures.language) for t in (texts[utterance], hypothesis)))
        for metric in measures.signal:
            try:
                row |= FUNCTIONS[metric](signals[1], enhanced.astype(np.float64))
            except Undefined:
                row[metric] = None
        with torch.no_grad(), batch_info(utt_ids=[utterance]):
            ref, inf = (
                torch.from_numpy(x.astype(np.float32))[None].to(measures.device)
                for x in (signals[1], enhanced)
            )
            length = torch.tensor([ref.shape[1]])
            row |= {name: float(criterion(ref, inf, length)) for name, criterion in criterions.items()}
        scores[utterance] = row
    write_json(point.record, {"inputs": inputs, "utterances": scores})


@functools.cache
def _criterions(names: tuple[str, ...], upstream: str, process: int) -> dict:
    """Criterions with default keys, made once in each process."""
    return {name: criterion_class(name)(upstream) for name in names}


def _lists(data: Path) -> dict[str, dict[str, str]]:
    """The three lists of a development set, all with the same ids."""
    lists = {name: read_scp(data / name, empty_values=name == "text") for name in FILES}
    for name in FILES[1:]:
        lone = lists["wav.scp"].keys() ^ lists[name].keys()
        if lone:
            raise DataError(f"{data}: {len(lone)} ids are in one of wav.scp and {name} only, as {min(lone)}")
    if not lists["wav.scp"]:
        raise DataError(f"{data}/wav.scp: holds no utterance")
    return lists
