"""Noise of random kind, place and level, the same for an utterance wherever and whenever it is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr

from espnet_posinv.kaldi.audio import read_audio
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.perturb.noise import Mixture, NoiseCutter, SilentNoise, mix_at_snr
from espnet_posinv.sample_rate import SAMPLE_RATE


class Noisy(NamedTuple):
    """A mixture, which noise it holds and at which ratio in dB."""

    mixture: Mixture
    kind: str
    snr: float


@dataclass(frozen=True)
class RandomNoise:
    """Mixes speech with a segment of one of several noises.

    Args:
        noises: samples (T,) float32 by kind.
        snrs: ratios in dB of which one is drawn, all equally likely.
        rate: Hz of all signals.
        tries: segments that may be drawn, of any kind, until one is not silent.

    Raises:
        ValueError: no noise, or no ratio.
    """

    noises: Mapping[str, np.ndarray]
    snrs: Sequence[float]
    rate: int = SAMPLE_RATE
    tries: int = 10

    def __post_init__(self):
        if not self.noises or not len(self.snrs):
            raise ValueError(f"{len(self.noises)} noises and {len(self.snrs)} SNRs: one of each is needed")

    def mix(self, speech: np.ndarray, rng: np.random.Generator) -> Noisy:
        """Draw the ratio first, so that it does not depend on the noises, then kind and segment.

        Args:
            speech: (T,) float.
            rng: of this utterance; see :func:`espnet_posinv.perturb.seeding.generator`.

        Raises:
            SilentNoise: no segment with noise in it was drawn.
            ValueError: the speech is silent or not finite.
        """
        snr = float(self.snrs[int(rng.integers(len(self.snrs)))])
        kinds = sorted(self.noises)
        for _ in range(self.tries):
            kind = kinds[rng.integers(len(kinds))]
            try:
                segment = NoiseCutter(rng, self.rate).cut(self.noises[kind], len(speech))
                return Noisy(mix_at_snr(speech, segment, snr, self.rate), kind, snr)
            except SilentNoise:
                continue
        raise SilentNoise(f"{self.tries} segments of {', '.join(kinds)} drawn, all of them silent")


def noise_files(source: str | Path) -> dict[str, list[str]]:
    """The recordings of each kind of noise.

    Args:
        source: a file with lines ``kind path``, of which a kind may have several; or a folder, whose folders
            are kinds with their recordings, and whose files are kinds of one recording.

    Raises:
        DataError: no noise, or files that are missing or empty, all of them named.
    """
    found: dict[str, list[str]] = {}
    source, problems = Path(source), []
    if source.is_dir():
        for file in sorted(source.rglob("*")):
            if file.is_file() and not file.name.startswith(".") and file.suffix:
                parts = file.relative_to(source).parts
                found.setdefault(parts[0] if len(parts) > 1 else file.stem, []).append(str(file))
    else:
        for number, line in enumerate(source.read_text(encoding="utf-8-sig").splitlines(), 1):
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


def read_noises(source: str | Path, rate: int = SAMPLE_RATE) -> dict[str, np.ndarray]:
    """Noise (T,) float32 by kind: its recordings at this rate, one behind the other; see :func:`noise_files`.

    Of several channels the first is taken.

    Raises:
        DataError: recordings that cannot be read; all of them are named.
    """
    noises, problems = {}, []
    for kind, paths in noise_files(source).items():
        parts = []
        for path in paths:
            try:
                samples, found = read_audio(path)
                samples = samples[:, 0]
                parts.append(samples if found == rate else soxr.resample(samples, found, rate))
            except DataError as error:
                problems.append(f"{kind}: {error}")
        if parts:
            noises[kind] = np.concatenate(parts).astype(np.float32)
    if problems:
        raise DataError(f"{source}: {'; '.join(problems)}")
    return noises
