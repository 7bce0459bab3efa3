"""Band-limited resampling of waveforms by a rational factor, on any device, with gradient."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from espnet_posinv.device import to_device

ZERO_CROSSINGS = 6  # of the sinc on either side; torchaudio's default, for equal results
ROLLOFF = 0.99  # cut-off frequency, as a share of the lower Nyquist frequency


def resample(wav: torch.Tensor, source: int, target: int) -> torch.Tensor:
    r"""Resample a waveform from one sample rate to another.

    The sum :math:`y_j = \sum_i x_i\,h(j / \mathrm{target} - i / \mathrm{source})` over the samples in reach
    of h, a sinc with a squared-cosine window (J. O. Smith, Digital Audio Resampling).  Only `target` / gcd
    different offsets of the two grids occur: a convolution with that many filters.

    Args:
        wav: ``(..., T)`` floating point.
        source, target: rates in Hz, or two whole numbers in their ratio; above 0.

    Returns:
        ``(..., ceil(T * target / source))``.

    Example:
        >>> resample(torch.ones(1, 441), 44100, 16000).shape
        torch.Size([1, 160])
    """
    common = math.gcd(source, target)
    source, target = source // common, target // common
    if source == target:
        return wav
    table, reach = _filters(source, target)
    filters = to_device(torch.from_numpy(table).to(wav.dtype), wav.device)
    length = wav.shape[-1]
    padded = F.pad(wav.reshape(-1, length), (reach, reach + source))
    frames = F.conv1d(padded[:, None], filters, stride=source)  # (B, target, blocks of `source` samples)
    out = frames.transpose(1, 2).flatten(1)[:, : -(-length * target // source)]
    return out.reshape(*wav.shape[:-1], -1)


@lru_cache
def _filters(source: int, target: int) -> tuple[np.ndarray, int]:
    """``(target, 1, taps)``, one filter per offset, float64; and the taps before the sample itself.

    Cached, since making them takes longer than applying them; as an array, since a cached tensor made under
    inference_mode could not be used in training.
    """
    cutoff = ROLLOFF * min(source, target)
    reach = math.ceil(ZERO_CROSSINGS * source / cutoff)
    samples = np.arange(-reach, reach + source) / source
    offsets = np.arange(target) / target
    t = ((samples - offsets[:, None]) * cutoff).clip(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = np.cos(math.pi * t / (2 * ZERO_CROSSINGS)) ** 2
    filters = np.sinc(t) * window * (cutoff / source)
    return filters[:, None], reach
