"""Enhance recordings: audio files, folders of them, a wav.scp, or audio from a pipe."""

import errno
import logging
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_posinv.enh.enhancer import Enhancer
from espnet_posinv.files import replacing
from espnet_posinv.kaldi.audio import decode, read_audio
from espnet_posinv.kaldi.entry import files_behind
from espnet_posinv.kaldi.scp import read_scp, write_scp

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"}
STDIN = "-"


class Recording(NamedTuple):
    """The input (a path, an entry of a wav.scp, or `STDIN`) and the output, relative to the output folder."""

    entry: str
    target: Path


def enhance_files(
    enhancer: Enhancer,
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    wet: float = 1.0,
    channel: int | None = None,
) -> list[str]:
    """Enhance recordings into 16-bit WAV files at their own sample rates; returns the names of failures.

    A recording that cannot be read or enhanced is reported on standard error and skipped.

    Args:
        inputs: see :func:`named_recordings`.
        output: folder for the enhanced files and their ``wav.scp``.
        wet: see :meth:`Enhancer.__call__`.
        channel: the channel to enhance, from 1; None: each channel.

    Raises:
        ValueError: no recording, two of one name or output, or an output that would replace an input or a
            foreign wav.scp, or lie outside of the folder.
        OSError: the disk is full.
    """
    enhancer([], wet=wet)  # an invalid share raises one error
    output = Path(output)
    recordings = named_recordings(inputs)
    _refuse_to_overwrite(recordings, inputs, output)
    _refuse_strange_places(recordings, output)
    output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name, recording in recordings.items():
        try:
            wav, rate = _read(recording.entry)
            enhanced = _enhance(enhancer, wav, rate, wet, channel)
            _write(output / recording.target, enhanced, rate)
        except Exception as error:  # of any library, e.g. for a recording too short for the model
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            said = str(error).strip().splitlines() or [type(error).__name__]
            text = said[0] if recording.entry in said[0] else f"{recording.entry}: {said[0]}"
            print(f"enhance: {text}", file=sys.stderr, flush=True)
            failed.append(name)
        else:
            print(f"{recording.entry} -> {output / recording.target}", flush=True)
    done = {name: str(output / r.target) for name, r in recordings.items() if name not in failed}
    write_scp(output / "wav.scp", done)
    return failed


def named_recordings(inputs: Sequence[str | Path]) -> dict[str, Recording]:
    """Recordings by name; blanks in file names are replaced in names.

    Args:
        inputs: audio files; folders, searched for audio at any depth; ``wav.scp`` files; ``-`` for an audio
            file on standard input.

    Raises:
        ValueError: nothing to enhance, or two recordings of one name.
    """
    found: dict[str, Recording] = {}
    for given in map(str, inputs):
        path = Path(given)
        if given == STDIN:
            new = [("stdin", Recording(STDIN, Path("stdin.wav")))]
        elif path.suffix == ".scp":
            new = [(key, Recording(entry, Path(f"{key}.wav"))) for key, entry in read_scp(path).items()]
        elif path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not files:
                raise ValueError(f"{path}: no audio file in this folder")
            new = [_of_file(file, file.relative_to(path)) for file in files]
        else:
            new = [_of_file(path, Path(path.name))]
        for name, recording in new:
            if name in found:
                both = f"{recording.entry} and {found[name].entry}"
                raise ValueError(f"{both} would both become {name}: name them in a wav.scp")
            found[name] = recording
    if not found:
        raise ValueError(f"{' '.join(map(str, inputs))}: no recording to enhance")
    return found


def _of_file(path: Path, below: Path) -> tuple[str, Recording]:
    target = below.with_suffix(".wav")
    name = "_".join("-".join(target.with_suffix("").parts).split())
    return name, Recording(str(path), target)


def _refuse_to_overwrite(
    recordings: dict[str, Recording], inputs: Sequence[str | Path], output: Path
) -> None:
    """Raise ValueError if an output is one of the input files."""
    behind = (files_behind(recording.entry) or [] for recording in recordings.values())
    read = {_identity(Path(text)): text for text in [*map(str, inputs), *chain(*behind)]}
    for target in [output / "wav.scp", *(output / r.target for r in recordings.values())]:
        identity = _identity(target)
        if identity is not None and identity in read:
            raise ValueError(
                f"{target} would replace the input {read[identity]}: give another --output-dir "
                "(nothing was done)"
            )


def _refuse_strange_places(recordings: dict[str, Recording], output: Path) -> None:
    """Raise ValueError if an output lies outside of the folder or is another's, or if wav.scp is not ours."""
    folder = output.resolve()
    taken: dict[Path, str] = {}
    for name, recording in recordings.items():
        place = (output / recording.target).resolve()
        if not place.is_relative_to(folder):
            raise ValueError(
                f"{name}: {place} lies outside of --output-dir {output}; rename it (nothing was done)"
            )
        if place in taken:
            raise ValueError(
                f"{taken[place]} and {name} would both become {place}: rename one (nothing was done)"
            )
        taken[place] = name
    listed = output / "wav.scp"
    for entry in read_scp(listed).values() if listed.exists() else ():
        inside = entry.endswith(".wav") and Path(entry).resolve().is_relative_to(folder)
        if not inside or (output / "utt2spk").exists():
            raise ValueError(
                f"{listed}: not of posinv enhance, or of a data directory (like {entry}); name another "
                "--output-dir (nothing was done)"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """The identity of a file under any of its names; None if it is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if path.is_file() else None


def _read(entry: str) -> tuple[np.ndarray, int]:
    if entry == STDIN:
        return decode(sys.stdin.buffer.read(), "standard input")
    return read_audio(entry)


def _enhance(enhancer, wav: np.ndarray, rate: int, wet: float, channel: int | None) -> np.ndarray:
    """(T, channels) of (T, channels)."""
    if channel is not None:
        if not 1 <= channel <= wav.shape[1]:
            raise ValueError(f"no channel {channel}, there are 1 to {wav.shape[1]} (--channel)")
        wav = wav[:, channel - 1 : channel]
    return np.stack(enhancer(list(wav.T), rate, wet=wet), axis=1)


def _write(target: Path, samples: np.ndarray, rate: int) -> None:
    clipped = int((np.abs(samples) > 1).sum())
    if clipped:
        logging.warning(f"{target}: {clipped} samples above full scale were clipped")
    with replacing(target) as temporary:
        soundfile.write(temporary, np.clip(samples, -1, 1), rate, subtype="PCM_16", format="WAV")
