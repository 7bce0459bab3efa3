"""Entries of a wav.scp: paths, ``command |`` and ``file.ark:offset``, opened and checked."""

import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_posinv.kaldi import cut_off
from espnet_posinv.kaldi.entry import ARCHIVE, archive_of, is_pipe, run_pipe
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.sample_rate import SAMPLE_RATE

# Times of segments are written to 1/100 s or finer, so a segment may end this far after its recording.
ROUNDING = 0.01


class Info(NamedTuple):
    """Format of an audio file; ``samples`` counts one channel."""

    rate: int
    channels: int
    samples: int
    format: str
    subtype: str


def read_mono(entry: str | Path, rate: int = SAMPLE_RATE, *, utterance: str = "") -> np.ndarray:
    """The samples (T,), float64 in [-1, 1], of an entry that must have one channel at this rate.

    Args:
        entry: value of a wav.scp line, or a path.
        utterance: id to name in errors.

    Raises:
        DataError: another rate, several channels, or as :func:`read_audio`.

    Example:
        >>> read_mono("clean/a.flac")[:2]  # doctest: +SKIP
        array([-0.00027466,  0.00015259])
    """
    try:
        samples, found = read_channel(entry)
        if found != rate:
            raise DataError(
                f"{entry}: {found} Hz, need {rate} Hz (scripts/audio/format_wav_scp.sh --fs {rate} resamples)"
            )
    except DataError as error:
        raise DataError(f"utterance {utterance}: {error}") if utterance else error from None
    return samples


def read_channel(entry: str | Path, *, data: bytes | None = None) -> tuple[np.ndarray, int]:
    """The samples (T,) of an entry with one channel, and their rate in Hz; see :func:`read_mono`."""
    entry = str(entry)
    samples, rate = read_audio(entry) if data is None else decode(data, entry)
    if samples.shape[1] != 1:
        raise DataError(
            f"{entry}: {samples.shape[1]} channels, need one (scripts/audio/format_wav_scp.sh --ref-channels "
            "chooses)"
        )
    return samples[:, 0], rate


def read_audio(entry: str, start: float = 0.0, end: float = -1.0) -> tuple[np.ndarray, int]:
    """The samples of an entry, or of its part from `start` to `end` seconds (-1: to its end), and their rate.

    The samples are (T, channels), float64 with full scale 1 whatever the file's type.

    Raises:
        DataError: the entry cannot be opened, has no samples or one that is not finite, its file is
            truncated, or the part lies outside.
    """
    if is_pipe(entry):
        samples, rate = decode(run_pipe(entry), entry)
    elif archive_of(entry):
        samples, rate = _from_archive(entry)
    else:
        _check_file(entry)
        return _decode(entry, entry, start, end)
    return cut(samples, rate, start, end, entry), rate


def cut(samples: np.ndarray, rate: int, start: float, end: float, entry: str) -> np.ndarray:
    """The part of a recording from ``start`` to ``end`` seconds (-1: to its end)."""
    first, last = bounds(len(samples), rate, start, end, entry)
    return samples[first:last]


def bounds(samples: int, rate: int, start: float, end: float, entry: str) -> tuple[int, int]:
    """First sample of a part, and the one after its last.

    Raises:
        DataError: the part begins after the recording's end, is empty, or ends more than `ROUNDING` after
            the recording.
    """
    first, last = round(start * rate), samples if end == -1 else round(end * rate)
    if first >= samples or first >= last or last > samples + round(ROUNDING * rate):
        length = samples / rate
        raise DataError(f"{entry}: the part from {start:g} to {end:g} s is not within its {length:g} s")
    return first, min(last, samples)


def audio_info(entry: str) -> Info:
    """Rate, channels and length of an entry.

    Of an integer wav file only the header is read. Other files are read completely, to see whether a flac
    file is truncated or a floating-point sample is not finite; so are pipes.

    Raises:
        DataError: as :func:`read_audio`.
    """
    if is_pipe(entry) or archive_of(entry):
        samples, rate = read_audio(entry)
        return Info(rate, samples.shape[1], len(samples), "", "")
    _check_file(entry)
    try:
        info = soundfile.info(entry)
    except soundfile.SoundFileError as error:
        raise DataError(f"{entry}: cannot be read as audio ({_cause(error)})") from None
    if info.frames == 0:
        raise DataError(f"{entry}: holds no sample")
    if not (info.format in ("WAV", "WAVEX") and info.subtype.startswith("PCM")):
        read_audio(entry)
    return Info(info.samplerate, info.channels, info.frames, info.format, info.subtype)


def info_or_error(entry: str) -> Info | str:
    """:func:`audio_info`, or the error's message, so that a pool of processes can go on after an error."""
    try:
        return audio_info(entry)
    except DataError as error:
        return str(error)


def decode(data: bytes, entry: str) -> tuple[np.ndarray, int]:
    """The samples (T, channels) of an audio file's content, and their rate; ``entry`` names it in errors."""
    if problem := cut_off.lacking(io.BytesIO(data), len(data)):
        raise DataError(f"{entry}: {problem}")
    return _decode(io.BytesIO(data), entry)


def _decode(source, entry: str, start: float = 0.0, end: float = -1.0) -> tuple[np.ndarray, int]:
    try:
        with soundfile.SoundFile(source) as file:
            if file.frames == 0:
                raise DataError(f"{entry}: holds no sample")
            rate = file.samplerate
            first, last = bounds(file.frames, rate, start, end, entry)
            file.seek(first)
            samples = file.read(last - first, dtype="float64", always_2d=True)
    except soundfile.SoundFileError as error:
        raise DataError(f"{entry}: cannot be read as audio, or is cut off ({_cause(error)})") from None
    if len(samples) != last - first:
        raise DataError(f"{entry}: cut off: {len(samples)} of {last - first} samples can be read")
    return _finite(samples, entry), rate


def _finite(samples: np.ndarray, entry: str) -> np.ndarray:
    if not np.isfinite(samples).all():
        bad = int(np.argmin(np.isfinite(samples).all(axis=1)))
        raise DataError(f"{entry}: sample {bad} is {samples[bad].tolist()}, not a finite number")
    return samples


def _from_archive(entry: str) -> tuple[np.ndarray, int]:
    import kaldiio

    path, offset = ARCHIVE.fullmatch(entry).group(1, 2)
    try:
        with open(path, "rb") as file:
            file.seek(int(offset))
            if problem := cut_off.lacking(file, os.stat(path).st_size):
                raise DataError(f"{entry}: {problem}")
    except OSError as error:
        raise DataError(f"{entry}: {error.strerror}") from None
    try:
        loaded = kaldiio.load_mat(entry)
    except Exception as error:  # kaldiio raises whatever its parts do
        raise DataError(
            f"{entry}: cannot be read from the archive ({type(error).__name__}: {error})"
        ) from None
    if not isinstance(loaded, tuple):
        raise DataError(f"{entry}: the archive holds features there, not audio")
    first, second = loaded
    rate, samples = (first, second) if isinstance(first, int) else (second, first)
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    if not samples.size:
        raise DataError(f"{entry}: holds no sample")
    return _finite(samples.reshape(len(samples), -1).astype(np.float64), entry), int(rate)


def as_int16(samples: np.ndarray) -> tuple[np.ndarray, int]:
    """Samples with full scale 1 as 16-bit integers, and how many were beyond full scale.

    Rounded here: libsndfile scales floats by 32767, so 16-bit samples would change.
    """
    scaled = np.rint(samples * 32768)
    clipped = int(np.count_nonzero((scaled > 32768) | (scaled < -32768)))
    return np.clip(scaled, -32768, 32767).astype(np.int16), clipped


def _check_file(path: str) -> None:
    """Raise if a file is missing, empty, or shorter than its header says."""
    try:
        size = os.stat(path).st_size
        if size == 0:
            raise DataError(f"{path}: empty file")
        with open(path, "rb") as file:
            problem = cut_off.lacking(file, size)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if problem:
        raise DataError(f"{path}: {problem}")


def _cause(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".")


def parse_rate(text: str) -> int | None:
    """A sampling rate in Hz from ``16000`` or ``16k``; None from ``none``."""
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k?)", text.lower().removesuffix("hz").strip())
    rate = float(match[1]) * (1000 if match[2] else 1) if match else 0
    if rate < 1 or rate != int(rate):
        raise DataError(f"sampling rate {text!r} is not like 16000 or 16k")
    return int(rate)
