"""Zero-padding before and after a waveform, which moves its content (SSL-MSE-PAD, arXiv 2601.21084).

The shares follow arXiv 2601.21084; independent draws for the two sides follow SPIRAL (arXiv 2201.10207).  The
paper does not say how a share is split between the sides: ``split`` offers the possible readings.
"""

from dataclasses import dataclass

import numpy as np
import torch

from espnet_posinv.device import to_device

SPLITS = ("independent", "same", "total")


@dataclass(frozen=True)
class Padding:
    """The amount of padding around an utterance.

    Args:
        share: range from which a share of the utterance's length is drawn uniformly.
        hop: frame shift of the encoder; the padding is rounded to a multiple of it, so that content moves by
            whole frames.
        split: "independent": a share for each side; "same": one share, for both sides; "total": one share,
            divided between the sides at random.
    """

    share: tuple[float, ...] = (0.02, 0.05)
    hop: int = 320
    split: str = "independent"

    def __post_init__(self):
        if len(self.share) != 2 or not 0 <= self.share[0] <= self.share[1]:
            raise ValueError(f"padding share {self.share}: give [low, high] with 0 <= low <= high")
        if self.split not in SPLITS:
            raise ValueError(f"padding split {self.split!r}: one of {', '.join(SPLITS)}")

    def draw(self, length: int, rng: np.random.Generator) -> tuple[int, int]:
        """Samples before and after an utterance of ``length`` samples, multiples of ``hop``."""
        if self.split == "total":
            frames = self._frames(length, rng)
            left = int(rng.integers(frames + 1))
            return left * self.hop, (frames - left) * self.hop
        left = self._frames(length, rng)
        right = self._frames(length, rng) if self.split == "independent" else left
        return left * self.hop, right * self.hop

    def _frames(self, length, rng):
        low, high = self.share
        return round(rng.uniform(low, high) * length / self.hop)


def pad(
    wav: torch.Tensor, lengths: torch.Tensor, left: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put zeros around each utterance of a batch.

    Args:
        wav: ``(B, T)``.
        lengths: ``(B,)`` in samples.
        left: ``(B,)`` zeros before.
        right: ``(B,)`` zeros after; all three on one device, best the CPU, since their values are read.

    Returns:
        ``(B, T')`` and the lengths ``lengths + left + right``.
    """
    new_lengths = lengths + left + right
    width = int(new_lengths.max())
    left, lengths = to_device(left, wav.device), to_device(lengths, wav.device)
    source = torch.arange(width, device=wav.device) - left[:, None]
    inside = (source >= 0) & (source < lengths[:, None])
    padded = wav.gather(1, source.clamp(0, wav.shape[1] - 1))
    return padded.masked_fill(~inside, 0.0), new_lengths
