"""Every checkpoint of fine-tunings, measured on one development set: the points of convergence curves.

For each of them the word errors of a recogniser, signal metrics, and the value of all three criterions,
whichever of them was trained. What a criterion draws at random is drawn by utterance id, the same for every
checkpoint. A checkpoint is one file of numbers, ``<experiment>/convergence/<n>epoch.json``; it is measured
again only if something that its numbers depend on has changed.
"""

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from espnet_posinv.asr.decode import Recogniser
from espnet_posinv.criterions import PAPER, criterion_class
from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.audio import read_audio
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp

SAMPLE_RATE = 16000
FILES = ("wav.scp", "spk1.scp", "text")


class Point(NamedTuple):
    """One checkpoint: after how many updates, and seconds spent in updates."""

    checkpoint: Path
    updates: int
    seconds: float

    @property
    def record(self) -> Path:
        """The file of its numbers."""
        return self.checkpoint.parent / "convergence" / f"{self.checkpoint.stem}.json"


@dataclass(frozen=True)
class Measures:
    """What is measured at each checkpoint.

    Args:
        recogniser: see :mod:`espnet_posinv.asr`.
        language: of the development set's text.
        upstream: encoder of the criterions, as ``whisper:FOLDER``; their other keys have default values.
        signal: names out of :data:`espnet_posinv.scoring.signal.METRICS`.
        device: where models enhance and criterions are computed; no part of what decides the numbers. A
            recogniser has its own.
    """

    recogniser: Recogniser
    language: str
    upstream: str
    signal: tuple[str, ...] = ("si_sdr", "estoi")
    device: str = "cpu"


def points(experiment: str | Path) -> list[Point]:
    """The checkpoints of a fine-tuning, beginning with the model it started from, at 0 updates.

    Seconds are the trainer's own time of an update times updates: reading data, forward, backward and step,
    but not validation, saving or the time a training lay still before it was resumed.

    Raises:
        DataError: no fine-tuning of ESPnet's, or checkpoints are missing.
    """
    experiment = Path(experiment)
    config = _config(experiment)
    init = [str(item).split(":")[0] for item in config.get("init_param") or []]
    if len(init) != 1:
        raise DataError(
            f"{experiment}/config.yaml: init_param is {init}; a curve begins at one initial model"
        )
    if not Path(init[0]).is_file():
        raise DataError(
            f"{init[0]}: the initial model of {experiment} is not there; run from the recipe's folder"
        )
    found = [Point(Path(init[0]), 0, 0.0)]
    batches, missing = 0, []
    for epoch, (count, seconds) in sorted(_epochs(experiment).items()):
        checkpoint = experiment / f"{epoch}epoch.pth"
        updates = (count - batches) // (config.get("accum_grad") or 1)
        found.append(Point(checkpoint, found[-1].updates + updates, found[-1].seconds + updates * seconds))
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


def _config(folder: Path) -> dict:
    path = folder / "config.yaml"
    if not path.is_file():
        raise DataError(f"{folder}: no config.yaml; not an experiment of ESPnet's trainer")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _epochs(folder: Path) -> dict[int, tuple[int, float]]:
    """Batches done at the end of each epoch, and mean seconds of its updates."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(
        str(folder / "tensorboard" / "train"), size_guidance={"scalars": 0}, purge_orphaned_data=False
    )
    events.Reload()
    if not {"iter_epoch", "train_time"} <= set(events.Tags()["scalars"]):
        raise DataError(f"{folder}/tensorboard/train: no finished epoch; train with use_tensorboard: true")

    def latest(tag: str) -> dict[int, float]:
        # The last value at a step is the epoch's mean; of an epoch begun again after a kill, the new one's.
        return {e.step: e.value for e in sorted(events.Scalars(tag), key=lambda e: e.wall_time)}

    times = latest("train_time")
    return {round(epoch): (step, times[step]) for step, epoch in latest("iter_epoch").items()}


def upstream_of(experiments: Sequence[str | Path]) -> str:
    """The encoder that all experiments were trained with.

    Raises:
        DataError: there is none, or several.
    """
    found = {
        (item.get("conf") or {}).get("upstream")
        for folder in experiments
        for item in _config(Path(folder)).get("criterions") or []
    } - {None}
    if len(found) != 1:
        raise DataError(f"the experiments have upstreams {sorted(found)}; name one for all with --upstream")
    return found.pop()


def unequal_settings(experiments: Sequence[str | Path]) -> list[str]:
    """Keys of config.yaml in which the experiments differ, besides criterion and seed."""
    configs = [_config(Path(folder)) for folder in experiments]
    meant = {"criterions", "seed", "config", "output_dir"}
    keys = {key for config in configs for key in config if not key.startswith("dist_")} - meant
    return sorted(key for key in keys if any(c.get(key) != configs[0].get(key) for c in configs))


def measure(
    experiments: Sequence[str | Path], data: str | Path, measures: Measures, *, nj: int = 1
) -> dict[str, list[tuple[Point, dict]]]:
    """Measure every checkpoint that is not measured yet.

    Args:
        experiments: folders of fine-tunings that kept every epoch's checkpoint.
        data: folder with wav.scp (noisy), spk1.scp (clean) and text, mono, 16 kHz.
        measures: what is measured.
        nj: processes, a checkpoint each at a time.

    Returns:
        ``{experiment: [(point, {utterance: scores})]}``, scores being S, D, I, N, and the value of each
        signal metric (None where it is undefined) and criterion.

    Raises:
        DataError: see :func:`points`; ids differ between the files of `data`, or audio is bad.
    """
    curves = {Path(folder).name: points(folder) for folder in experiments}
    _check_ids(Path(data))
    inputs = {
        "data": _fingerprint(Path(data)),
        "recogniser": measures.recogniser.settings(),
        "criterions": {"names": list(PAPER), "encoder": encoder_fingerprint(measures.upstream)},
        "language": measures.language,
        "signal": list(measures.signal),
    }
    todo = {}
    for point in (point for curve in curves.values() for point in curve):
        expected = {**inputs, "model": _model_fingerprint(point.checkpoint)}
        if _read(point.record, expected) is None:
            todo[point.checkpoint] = (point, expected)
    one = functools.partial(_measure, measures, str(data))
    for _ in parallel_map(one, list(todo.values()), label=f"measuring {len(todo)} checkpoints", jobs=nj):
        pass
    return {
        name: [(point, json.loads(point.record.read_text(encoding="utf-8"))["utterances"]) for point in curve]
        for name, curve in curves.items()
    }


def _read(path: Path, expected: dict) -> dict | None:
    """The numbers of a finished measurement with these inputs."""
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return record["utterances"] if record["inputs"] == expected else None


def _measure(measures: Measures, data: str, item: tuple[Point, dict]) -> None:
    import torch

    from espnet_posinv.criterions.batch import batch_info
    from espnet_posinv.enh.enhancer import Enhancer
    from espnet_posinv.scoring.normalize import normalize
    from espnet_posinv.scoring.signal import FUNCTIONS, Undefined
    from espnet_posinv.scoring.wer import count_errors

    torch.set_num_threads(1)  # one process a core
    point, inputs = item
    enhancer = Enhancer.from_pretrained(
        point.checkpoint.parent, point.checkpoint.name, device=measures.device
    )
    criterions = _criterions(measures.upstream, os.getpid())
    noisy, clean, texts = (read_scp(f"{data}/{name}", empty_values=name == "text") for name in FILES)
    scores = {}
    for utterance in sorted(noisy):
        signals = [_samples(utterance, table[utterance]) for table in (noisy, clean)]
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
    with atomic_write(point.record) as file:
        json.dump({"inputs": inputs, "utterances": scores}, file, indent=1)


@functools.cache
def _criterions(upstream: str, process: int) -> dict:
    """Those of the paper with the default values of their keys; one set for each process."""
    return {name: criterion_class(name)(upstream) for name in PAPER}


def _samples(utterance: str, entry: str) -> np.ndarray:
    try:
        samples, rate = read_audio(entry)
    except DataError as error:
        raise DataError(f"utterance {utterance}: {error}") from None
    if rate != SAMPLE_RATE or samples.shape[1] != 1:
        raise DataError(f"{entry}: {samples.shape[1]} channel(s) at {rate} Hz, need one at {SAMPLE_RATE} Hz")
    return samples[:, 0]


def _check_ids(data: Path) -> None:
    tables = {name: read_scp(data / name, empty_values=name == "text") for name in FILES}
    for name in FILES[1:]:
        lone = tables["wav.scp"].keys() ^ tables[name].keys()
        if lone:
            raise DataError(f"{data}: {len(lone)} ids are in one of wav.scp and {name} only, as {min(lone)}")
    if not tables["wav.scp"]:
        raise DataError(f"{data}/wav.scp: holds no utterance")


def _fingerprint(data: Path) -> str:
    """Changes when a list, a transcript or an audio file does (its size or time)."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((data / name).read_bytes())
    for name in FILES[:2]:
        for entry in read_scp(data / name).values():
            if os.path.exists(entry):
                status = os.stat(entry)
                digest.update(f"{status.st_size} {status.st_mtime_ns} ".encode())
    return digest.hexdigest()


def encoder_fingerprint(upstream: str) -> list:
    """Specification of an encoder and, of one in a local folder, names, sizes and times of its files."""
    folder = Path(upstream.partition(":")[2])
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [upstream, [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]]


def _model_fingerprint(checkpoint: Path) -> str:
    with open(checkpoint, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
