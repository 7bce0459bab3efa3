"""Noise of random kind, segment and SNR, reproducible for each utterance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_posinv.kaldi.audio import read_audio
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.perturb.noise import Mixture, NoiseCutter, SilentNoise, mix_at_snr
from espnet_posinv.sample_rate import SAMPLE_RATE

TRIES = 10  # segments drawn, of any kind, until one is not silent


class Noisy(NamedTuple):
    """A mixture, its kind of noise and its SNR in dB."""

    mixture: Mixture
    kind: str
    snr: float


@dataclass(frozen=True)
class RandomNoise:
    """Mixes speech with a segment of one of several noises.

    Raises:
        ValueError: no noise, or no SNR.
    """

    noises: Mapping[str, np.ndarray]  # samples (T,) float32 by kind
    snrs: Sequence[float]  # ratios in dB, of which one is drawn, all equally likely

    def __post_init__(self):
        if not self.noises or not len(self.snrs):
            raise ValueError(f"{len(self.noises)} noises and {len(self.snrs)} SNRs: one of each is needed")

    def mix(self, speech: np.ndarray, rng: np.random.Generator) -> Noisy:
        """Mix speech (T,) with a random segment; the SNR is drawn first, so it does not depend on the noises.

        Raises:
            SilentNoise: all segments drawn were silent.
            ValueError: the speech is silent or not finite.
        """
        snr = float(self.snrs[int(rng.integers(len(self.snrs)))])
        kinds = sorted(self.noises)
        for _ in range(TRIES):
            kind = kinds[rng.integers(len(kinds))]
            try:
                segment = NoiseCutter(rng).cut(self.noises[kind], len(speech))
                return Noisy(mix_at_snr(speech, segment, snr), kind, snr)
            except SilentNoise:
                continue
        raise SilentNoise(f"{TRIES} segments of {', '.join(kinds)} drawn, all of them silent")


def noise_files(source: str | Path) -> dict[str, list[str]]:
    """The recordings of each kind of noise.

    Args:
        source: a file with lines ``kind path``, one or several for each kind; or a folder with a folder of
            recordings for each kind, or a file for a kind of one recording.

    Raises:
        DataError: no noise, or missing or empty files and folders, which are listed.
    """
    found: dict[str, list[str]] = {}
    source, problems = Path(source), []
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            if file.is_file() and not file.name.startswith(".") and file.suffix:
                parts = file.relative_to(source).parts
                found.setdefault(parts[0] if len(parts) > 1 else file.stem, []).append(str(file))
        for folder in sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] != "."):
            if folder.name not in found:
                problems.append(f"{folder.name}: {folder}: no recording in it")
    elif not source.is_file():
        raise DataError(f"{source}: no such file")
    else:
        for number, line in enumerate(source.read_text(encoding="utf-8-sig").split("\n"), 1):
            kind, _, path = line.strip().replace("\t", " ").partition(" ")
            if kind and not path:
                problems.append(f"{source}:{number}: {kind!r} has no path")
            elif kind:
                found.setdefault(kind, []).append(path.strip())
    for kind, paths in found.items():
        for path in paths:
            if not path.endswith("|") and (not Path(path).is_file() or not Path(path).stat().st_size):
                problems.append(f"{kind}: {path}: {'empty' if Path(path).is_file() else 'no such file'}")
    if problems:
        raise DataError(f"{source}: {'; '.join(problems)}")
    if not found:
        raise DataError(f"{source}: no noise in it")
    return found


def read_noises(source: str | Path) -> dict[str, np.ndarray]:
    """Noise (T,) float32 at 16 kHz by kind, its recordings concatenated; see :func:`noise_files`.

    The first channel is used.

    Raises:
        DataError: recordings that cannot be read, which are listed.
    """
    import soxr  # not in the core: only data preparation and noise mixing read recordings

    noises, problems = {}, []
    for kind, paths in noise_files(source).items():
        parts = []
        for path in paths:
            try:
                samples, found = read_audio(path)
                samples = samples[:, 0]
                if found != SAMPLE_RATE:
                    samples = soxr.resample(samples, found, SAMPLE_RATE)
                parts.append(samples)
            except DataError as error:
                problems.append(f"{kind}: {error}")
        if parts:
            noises[kind] = np.concatenate(parts).astype(np.float32)
    if problems:
        raise DataError(f"{source}: {'; '.join(problems)}")
    return noises
