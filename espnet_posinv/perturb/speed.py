"""Speed perturbation by resampling: tempo and pitch change together (Ko et al., Interspeech 2015).

ESPnet's own "speed perturbation" stage changes noisy and clean speech together; here it is the clean
reference alone that gets slower or faster, so that its content stands at other positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torchaudio.transforms import Resample

from espnet_posinv.device import to_device


@dataclass(frozen=True)
class Speed:
    """Which speed factors there are; one is drawn for each utterance.

    Args:
        factors: > 0; 1.1 is 10 % faster, so shorter.
    """

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)

    def __post_init__(self):
        if not self.factors:
            raise ValueError("speed factors: give one or more numbers above 0")
        for factor in self.factors:
            ratio(factor)

    def draw(self, rng: np.random.Generator) -> float:
        """One of the factors, all equally likely."""
        return float(self.factors[rng.integers(len(self.factors))])


def ratio(factor: float) -> Fraction:
    """The factor as a fraction with a denominator up to 100 (0.95 = 19/20): what the resampler works with.

    Raises:
        ValueError: it is no such fraction; 1/3 is one, 0.333 is not.
    """
    fraction = Fraction(factor).limit_denominator(100) if 0 < factor < float("inf") else Fraction(0)
    if not fraction or float(fraction) != float(factor):
        raise ValueError(
            f"speed factor {factor!r}: must be above 0 and a fraction with a denominator up to 100, like 0.95"
        )
    return fraction


def changed_length(length: int, factor: float) -> int:
    """Samples that ``length`` samples become at speed ``factor``: ``ceil(length / factor)``, exactly."""
    fraction = ratio(factor)
    return -(-length * fraction.denominator // fraction.numerator)


def change_speed(
    wav: torch.Tensor, lengths: torch.Tensor, factors: Sequence[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Play each utterance of a batch at its own speed.

    Band-limited interpolation; what lies behind an utterance counts as silence, so the result does not
    depend on the batch.

    Args:
        wav: ``(B, T)``.
        lengths: ``(B,)`` in samples.
        factors: B numbers.

    Returns:
        ``(B, T')`` with zeros behind each utterance, and its lengths ``(B,)``, on the CPU.
    """
    before = lengths.tolist()
    after = [changed_length(n, f) for n, f in zip(before, factors, strict=True)]
    wav = _cut(wav, lengths)
    out = wav.new_zeros(len(wav), max(after))
    for factor in set(factors):
        chosen = [b for b, f in enumerate(factors) if f == factor]
        rows = to_device(torch.tensor(chosen), wav.device)
        x, fraction = wav[:, : max(before[b] for b in chosen)].index_select(0, rows), ratio(factor)
        if fraction != 1:
            x = _resampler(fraction, wav.device, wav.dtype)(x)
        out[:, : x.shape[1]].index_copy_(0, rows, x)
    new_lengths = torch.tensor(after)
    return _cut(out, new_lengths), new_lengths


def _cut(wav: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Silence behind each utterance."""
    behind = torch.arange(wav.shape[1], device=wav.device) >= to_device(lengths, wav.device)[:, None]
    return wav.masked_fill(behind, 0.0)


@lru_cache
def _resampler(fraction: Fraction, device: torch.device, dtype: torch.dtype) -> Resample:
    """Its filter is computed in float64, once: on a GPU making it takes longer than applying it."""
    return Resample(fraction.numerator, fraction.denominator, dtype=torch.float64).to(device, dtype)
