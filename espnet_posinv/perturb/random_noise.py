"""Noise of random kind, place and level, the same for an utterance wherever and whenever it is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
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
        snr = float(self.snrs[rng.integers(len(self.snrs))])
        kinds = sorted(self.noises)
        for _ in range(self.tries):
            kind = kinds[rng.integers(len(kinds))]
            try:
                segment = NoiseCutter(rng, self.rate).cut(self.noises[kind], len(speech))
                return Noisy(mix_at_snr(speech, segment, snr, self.rate), kind, snr)
            except SilentNoise:
                continue
        raise SilentNoise(f"{self.tries} segments of {', '.join(kinds)} drawn, all of them silent")


def read_noises(scp: str | Path, rate: int = SAMPLE_RATE) -> dict[str, np.ndarray]:
    """Noise recordings (T,) float32 by kind, from a file with lines ``kind path``.

    Raises:
        DataError: a recording cannot be read, has several channels or another rate.
    """
    noises = {}
    for kind, path in read_scp(scp).items():
        try:
            noises[kind] = read_mono(path, rate).astype(np.float32)
        except DataError as error:
            raise DataError(f"{scp}: {kind}: {error}") from None
    return noises
