"""Demucs for speech, the causal denoiser of Défossez et al. (arXiv 2006.12847), as an ESPnet separator.

A U-Net of strided convolutions on the waveform, four times oversampled, with an LSTM at the bottleneck. The
published model includes the padding in its normalisation and convolutions. This one uses the valid samples
only, at every level, so that the output for an utterance is the same alone and in a padded batch.
"""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import conv1d, glu, pad

from espnet_posinv.enh.half_lstm import half_lstm
from espnet_posinv.enh.separator import WaveformSeparator

DEPTH, KERNEL, STRIDE = 5, 8, 4
OVERSAMPLING = 4
FLOOR = 1e-3  # added to the standard deviation, -60 dBFS, so that silence is not amplified to full scale
ZERO_CROSSINGS = 56  # of the sinc on either side


def half_sample_filter() -> torch.Tensor:
    r"""Hann-windowed sinc that interpolates halfway between samples; (1, 1, 112) float32.

    A signal without content above half its rate is :math:`x(t) = \sum_k x_k\,\mathrm{sinc}(t - k)`, so
    between two samples :math:`x(n + 1/2) = \sum_k x_k\,\mathrm{sinc}(n - k + 1/2)`. With a window that is
    zero just after the last zero crossing, the sum has 112 terms.
    """
    t = torch.arange(-ZERO_CROSSINGS, ZERO_CROSSINGS, dtype=torch.float64) + 0.5
    window = torch.cos(math.pi * t / (2 * ZERO_CROSSINGS)).square()
    return (torch.sinc(t) * window).float()[None, None]


def upsample2(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """(B, 2T) from `x` (B, T): after each sample the value half a sample later."""
    between = conv1d(x[:, None], kernel, padding=ZERO_CROSSINGS)[:, 0, 1:]
    return torch.stack([x, between], 2).flatten(1)


def downsample2(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """(B, T) from `x` (B, 2T): the ideal half-band low-pass at every second sample.

    The low-pass's impulse response is sinc(k/2)/2: one half at 0, zero at the other even k, and at odd k the
    half-sample filter again, which moves the odd samples to the positions of the even ones.
    """
    moved = conv1d(x[:, None, 1::2], kernel, padding=ZERO_CROSSINGS)[:, 0, :-1]
    return (x[:, ::2] + moved) / 2


def level_lengths(samples: torch.Tensor) -> list[torch.Tensor]:
    """Lengths (B,) at each level of utterances of `samples` (B,).

    At 16, 32 and 64 kHz, then after each of the five convolutions. The first are the samples rounded up so
    that a convolution's last window ends with the signal: ``n = (frames - 1) * stride + kernel`` at each
    level, so that the transposed convolution of the frames is as long as the input of the convolution.
    """
    frames = samples * OVERSAMPLING
    for _ in range(DEPTH):
        frames = (-((KERNEL - frames) // STRIDE) + 1).clamp_min(1)
    levels = [frames]
    for _ in range(DEPTH):
        levels.append((levels[-1] - 1) * STRIDE + KERNEL)
    top = levels[-1]
    return [top // 4, top // 2, *reversed(levels)]


def until(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """`x` (B, ..., T) with zeros from `lengths` (B,) on."""
    padding = torch.arange(x.shape[-1], device=x.device) >= lengths.view(-1, *[1] * (x.dim() - 1))
    return x.masked_fill(padding, 0)


def valid_std(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Unbiased standard deviation (B, 1) of the first `lengths` (B,) samples of `x` (B, T)."""
    count = lengths[:, None]
    centred = until(x - until(x, lengths).sum(1, keepdim=True) / count, lengths)
    variance = centred.square().sum(1, keepdim=True) / (count - 1).clamp_min(1)
    return variance.clamp_min(1e-20).sqrt()  # the root's derivative is infinite at zero


class DemucsSeparator(WaveformSeparator):
    """Map noisy to clean waveforms with the causal Demucs of arXiv 2006.12847, section 2.

    Args:
        input_dim: 1; see :class:`~espnet_posinv.enh.separator.WaveformSeparator`.
        hidden: channels of the first convolution, doubled by each further one: 48 is the published dns48,
            64 are dns64 and master64.
        lstm_dtype: "float32", or "float16": while training on a GPU the LSTM, which takes most of the time
            there, computes in 16 bits (:mod:`espnet_posinv.enh.half_lstm`).

    Raises:
        ValueError: another encoder than ``same`` is configured, `hidden` is not positive, or `lstm_dtype` is
            neither; at ``load_state_dict`` if the weights have another `hidden`.
    """

    name = "demucs"

    def __init__(self, input_dim: int, hidden: int = 48, lstm_dtype: str = "float32"):
        super().__init__(input_dim)
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, not {hidden}")
        if lstm_dtype not in ("float32", "float16"):
            raise ValueError(f"lstm_dtype {lstm_dtype}: float32 or float16")
        self.hidden, self.half = hidden, lstm_dtype == "float16"
        sizes = [1, *(hidden * 2**level for level in range(DEPTH))]
        self.down, self.widen = nn.ModuleList(), nn.ModuleList()  # of the encoder
        self.gate, self.up = nn.ModuleList(), nn.ModuleList()  # of the decoder, by the encoder's level
        for narrow, wide in pairwise(sizes):
            self.down.append(nn.Conv1d(narrow, wide, KERNEL, STRIDE))
            self.widen.append(nn.Conv1d(wide, 2 * wide, 1))
            self.gate.append(nn.Conv1d(wide, 2 * wide, 1))
            self.up.append(nn.ConvTranspose1d(wide, narrow, KERNEL, STRIDE))
        self.lstm = nn.LSTM(sizes[-1], sizes[-1], num_layers=2, batch_first=True)
        self.register_buffer("kernel", half_sample_filter(), persistent=False)
        self.register_load_state_dict_pre_hook(_check_hidden)
        for group in (self.down, self.widen, self.gate, self.up):
            for conv in group:
                _rescale(conv)

    def enhance(self, wav: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Enhance a padded batch.

        Alone, an utterance ends with its last full window at every level (:func:`level_lengths`). In a longer
        batch, samples after that end would reach valid samples in two ways: through the sinc filters, so
        the input of each filter is zeroed there, and through windows of the transposed convolutions that
        begin before the end, which are zeroed too. The encoder's convolutions need nothing: the windows of
        an utterance end with it, and the LSTM runs forward.
        """
        width = wav.shape[1]
        _, double, *levels = level_lengths(lengths)
        x = until(wav.to(self.kernel.dtype), lengths)
        scale = valid_std(x, lengths)
        x = pad(x / (FLOOR + scale), (0, int(level_lengths(torch.tensor(width))[0]) - width))
        x = upsample2(until(upsample2(x, self.kernel), double), self.kernel)[:, None]

        skips = []
        for down, widen in zip(self.down, self.widen, strict=True):
            x = glu(widen(torch.relu(down(x))), dim=1)
            skips.append(x)
        x = x.transpose(1, 2)
        half = self.half and self.training and x.is_cuda
        x = (half_lstm(self.lstm, x) if half else self.lstm(x)[0]).transpose(1, 2)
        for level in reversed(range(DEPTH)):
            x = glu(self.gate[level](x + skips.pop()), dim=1)
            x = self.up[level](until(x, levels[level + 1]))
            if level:
                x = torch.relu(x)

        x = downsample2(until(x[:, 0].to(self.kernel.dtype), levels[0]), self.kernel)
        x = downsample2(until(x, double), self.kernel)[:, :width]
        return until(scale * x, lengths)


def _rescale(conv: nn.Module) -> None:
    """Scale a layer's standard deviation s to sqrt(0.1 s): initialisation of Demucs (arXiv 1911.13254)."""
    with torch.no_grad():
        scale = (conv.weight.std() / 0.1).sqrt()
        conv.weight /= scale
        conv.bias /= scale


def _check_hidden(module: DemucsSeparator, state: dict, prefix: str, *_) -> None:
    found = state.get(f"{prefix}down.0.bias")
    if found is not None and len(found) != module.hidden:
        raise ValueError(
            f"these weights are of a Demucs with hidden {len(found)}, not {module.hidden}: "
            f"set 'hidden: {len(found)}' in separator_conf"
        )
