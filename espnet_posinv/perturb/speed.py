"""Speed perturbation by resampling: tempo and pitch change together (Ko et al., Interspeech 2015).

ESPnet's own "speed perturbation" stage changes noisy and clean speech together; here only the clean reference
gets slower or faster, so that its content is at other positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np
import torch

from espnet_posinv.device import to_device
from espnet_posinv.perturb.resample import resample


@dataclass(frozen=True)
class Speed:
    """Speed factors, of which one is drawn for each utterance."""

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)  # > 0; 1.1 is 10 % faster, so shorter

    def __post_init__(self):
        if not self.factors:
            raise ValueError("speed factors: give one or more numbers above 0")
        for factor in self.factors:
            ratio(factor)

    def draw(self, rng: np.random.Generator) -> float:
        """One of the factors, all equally likely."""
        return float(self.factors[rng.integers(len(self.factors))])


def ratio(factor: float | Fraction) -> Fraction:
    """The factor as a fraction with a denominator up to 100 (0.95 = 19/20), for the resampler.

    A Fraction is returned unchanged; ``Fraction(44100, 16000)`` takes 44.1 kHz to 16 kHz.

    Raises:
        ValueError: it is no such fraction; 1/3 is one, 0.333 is not.
    """
    if not isinstance(factor, Real):
        raise ValueError(f"speed factor {factor!r}: a number is needed, like 0.95")
    if isinstance(factor, Fraction):
        if factor <= 0:
            raise ValueError(f"speed factor {factor}: must be above 0")
        return factor
    fraction = Fraction(factor).limit_denominator(100) if 0 < factor < float("inf") else Fraction(0)
    if not fraction or abs(float(fraction) - float(factor)) > 1e-9:  # allows for rounding, as in 0.8 + 0.02
        raise ValueError(
            f"speed factor {factor!r}: must be above 0 and a fraction with a denominator up to 100, like 0.95"
        )
    return fraction


def changed_length(length: int, factor: float | Fraction) -> int:
    """Number of samples at speed ``factor``: ``ceil(length / factor)``, exactly."""
    fraction = ratio(factor)
    return -(-length * fraction.denominator // fraction.numerator)


def change_speed(
    wav: torch.Tensor, lengths: torch.Tensor, factors: Sequence[float | Fraction]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Play each utterance of a batch at its own speed.

    Band-limited interpolation; the padding counts as silence, so the result does not depend on the batch.

    Args:
        wav: ``(B, T)``.
        lengths: ``(B,)`` in samples.
        factors: B numbers.

    Returns:
        ``(B, T')`` with zeros after each utterance, and the new lengths ``(B,)``, on the CPU.
    """
    before = lengths.tolist()
    after = [changed_length(n, f) for n, f in zip(before, factors, strict=True)]
    wav = _cut(wav, lengths)
    out = wav.new_zeros(len(wav), max(after))
    for factor in set(factors):
        chosen = [b for b, f in enumerate(factors) if f == factor]
        rows = to_device(torch.tensor(chosen), wav.device)
        x, fraction = wav[:, : max(before[b] for b in chosen)].index_select(0, rows), ratio(factor)
        x = resample(x, fraction.numerator, fraction.denominator)
        out[:, : x.shape[1]].index_copy_(0, rows, x)
    new_lengths = torch.tensor(after)
    return _cut(out, new_lengths), new_lengths


def _cut(wav: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Zeros after each utterance."""
    padding = torch.arange(wav.shape[1], device=wav.device) >= to_device(lengths, wav.device)[:, None]
    return wav.masked_fill(padding, 0.0)
