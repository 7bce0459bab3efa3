"""Formatting the audio of one recording: cut, choose channels, resample, write."""

import hashlib
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import soundfile
import soxr

from espnet_posinv.files import replacing
from espnet_posinv.kaldi import journal
from espnet_posinv.kaldi.audio import as_int16, audio_info, cut, decode, read_audio
from espnet_posinv.kaldi.entry import archive_of, is_pipe, run_pipe
from espnet_posinv.kaldi.scp import DataError

FORMATS = ("wav", "flac")


class Part(NamedTuple):
    """One output: an utterance cut from a recording, with the channels to keep (None: all)."""

    utt: str
    start: float
    end: float
    channels: tuple[int, ...] | None
    mark: str  # of source and options: differs if the output would differ
    noted: journal.Entry | None = None  # the existing output of an opaque pipe


class Task(NamedTuple):
    """All parts of one recording, so that a pipe is run once."""

    entry: str
    parts: tuple[Part, ...]
    folder: str
    rate: int | None
    format: str
    opaque: bool = False  # a pipe whose changes show in its output only


class Done(NamedTuple):
    """The result of a part: a path and its samples per channel, or an error."""

    part: Part
    path: str = ""
    samples: int = 0
    clipped: int = 0
    error: str = ""


def run_task(task: Task) -> list[Done]:
    """Make the outputs of one recording; an error affects its own part only."""
    results, whole = [], None
    if task.opaque:
        try:
            data = run_pipe(task.entry)
            task, results = _changed(task, hashlib.sha1(data).hexdigest())
            whole = decode(data, task.entry) if task.parts else None
        except DataError as error:
            return [Done(part, error=str(error)) for part in task.parts]
    for part in task.parts:
        try:
            done = _as_it_is(task, part)
            if done is None:
                if is_pipe(task.entry) or archive_of(task.entry):
                    samples, rate = whole = whole or read_audio(task.entry)
                    samples = cut(samples, rate, part.start, part.end, task.entry)
                else:
                    samples, rate = read_audio(task.entry, part.start, part.end)
                done = _write(task, part, samples, rate)
        except (DataError, OSError) as error:
            done = Done(part, error=str(error))
        results.append(done)
    return results


def _changed(task: Task, hashed: str) -> tuple[Task, list[Done]]:
    """The parts to make from an opaque pipe's output with this hash, and the parts that exist already."""
    parts = [part._replace(mark=f"{part.mark}.{hashed}") for part in task.parts]
    there = [part for part in parts if part.noted and part.noted.mark == part.mark]
    todo = tuple(part for part in parts if part not in there)
    with journal.append(Path(task.folder)) as log:  # old notes must not count after a kill
        log.writelines(journal.line(part.utt, journal.NOTHING) for part in todo if part.noted)
    return task._replace(parts=todo), [Done(part, part.noted.path, part.noted.samples) for part in there]


def _as_it_is(task: Task, part: Part) -> Done | None:
    """The recording itself, if it is a complete file of the wanted format."""
    entry = task.entry
    if (part.start, part.end) != (0.0, -1.0) or is_pipe(entry) or archive_of(entry):
        return None
    info = audio_info(entry)
    wanted_kind = info.subtype == "PCM_16" and entry.lower().endswith(f".{task.format}")
    all_channels = part.channels is None or part.channels == tuple(range(info.channels))
    if wanted_kind and all_channels and task.rate in (None, info.rate):
        return Done(part, entry, info.samples)
    return None


def _write(task: Task, part: Part, samples: np.ndarray, rate: int) -> Done:
    """Write samples (T, channels) as 16-bit integers, under a temporary name first."""
    if part.channels is not None:
        if max(part.channels) >= samples.shape[1]:
            raise DataError(f"{task.entry}: no channel {max(part.channels)}, it has {samples.shape[1]}")
        samples = samples[:, list(part.channels)]
    if task.rate not in (None, rate):
        samples, rate = soxr.resample(samples, rate, task.rate), task.rate
    integers, clipped = as_int16(samples)
    # Sub-folders by a checksum of the id: a folder of a million files is slow on most file systems.
    name = part.utt.replace("%", "%25").replace("/", "%2F")
    path = Path(task.folder) / f"{crc32(part.utt.encode()) & 0xFF:02x}" / f"{name}.{task.format}"
    with replacing(path) as temporary:
        soundfile.write(temporary, integers, rate, subtype="PCM_16", format=task.format.upper())
    return Done(part, str(path), len(integers), clipped)
