"""The network of wav2vec 2.0, HuBERT and WavLM, exact under padding.

One network serves the three families (arXiv 2006.11477, 2106.07447, 2110.13900): strided convolutions on
the waveform, a convolution as position embedding, transformer layers.  The libraries' own forward passes
let padding leak into the valid frames: the base models' GroupNorm takes its statistics over the whole
padded time axis (huggingface/transformers#21534, pytorch/audio#2242).  Here every frame of an utterance
equals the one that the utterance gets alone; the libraries only supply weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from espnet_posinv.ssl.masking import masked_channel_norm, span_mask
from espnet_posinv.ssl.receptive_field import ConvStack
from espnet_posinv.ssl.transformer import GatedRelativeAttention, Layer, RelativePositions, SelfAttention


def far(conv: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """A long grouped convolution (B, C, N) with zeros around, N frames, by Fourier transforms in float32.

    cuDNN is slow where groups are small and kernels long: the position convolution then takes longer than
    the rest of a base model.
    """
    assert conv.bias is not None
    with torch.autocast(x.device.type, enabled=False):
        length = x.shape[-1] + conv.kernel_size[0]
        length += length % 2
        signal = torch.fft.rfft(x.float(), length).unflatten(1, (conv.groups, -1))
        kernel = torch.fft.rfft(conv.weight.float(), length).conj().unflatten(0, (conv.groups, -1))
        y = torch.fft.irfft(torch.einsum("bgif,goif->bgof", signal, kernel), length).flatten(1, 2)
        # A correlation on a circle: what lies before the start stands at the end
        return y.roll(conv.kernel_size[0] // 2, -1)[..., : x.shape[-1]] + conv.bias.float()[:, None]


@dataclass(frozen=True)
class Wav2Vec2Config:
    """Sizes of the network; the defaults are those of the base models."""

    conv_dims: tuple[int, ...] = (512,) * 7
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    conv_norm: str = "group"  # "group": GroupNorm after the first layer; "layer": LayerNorm after each
    dim: int = 768
    heads: int = 12
    ffn_dim: int = 3072
    num_layers: int = 12
    pos_kernel: int = 128
    pos_groups: int = 16
    pre_norm: bool = False
    projection_norm: bool = True
    eps: float = 1e-5
    relative_buckets: int = 0  # WavLM: 320
    relative_distance: int = 0  # WavLM: 800


class ConvLayer(nn.Module):
    """Convolution, normalisation, GELU."""

    def __init__(self, config: Wav2Vec2Config, index: int):
        super().__init__()
        inputs = config.conv_dims[index - 1] if index else 1
        self.conv = nn.Conv1d(
            inputs,
            config.conv_dims[index],
            config.conv_kernels[index],
            config.conv_strides[index],
            bias=config.conv_bias,
        )
        self.norm: Any
        if config.conv_norm == "layer":
            self.norm = nn.LayerNorm(config.conv_dims[index])
        elif index == 0:
            self.norm = nn.GroupNorm(config.conv_dims[index], config.conv_dims[index])
        else:
            self.norm = None

    def forward(self, x: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
        """x (B, C, T); inside (B, 1, T') bool: the outputs that GroupNorm counts, None for all."""
        if isinstance(self.norm, nn.LayerNorm):
            return self._channels_last(x)
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x) if inside is None else masked_channel_norm(x, inside, self.norm)
        return F.gelu(x)

    def _channels_last(self, x: torch.Tensor) -> torch.Tensor:
        """The same with channels innermost in memory, where LayerNorm wants them.

        conv1d knows no such layout and would have every activation transposed twice, forwards and backwards;
        conv2d on one row does (on the CPU the front end takes about half the time).
        """
        x = x.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        x = F.conv2d(x, self.conv.weight.unsqueeze(2), self.conv.bias, stride=(1, self.conv.stride[0]))
        return F.gelu(self.norm(x.permute(0, 2, 3, 1))).squeeze(1).transpose(1, 2)


class Wav2Vec2Network(nn.Module):
    """Hidden states of wav2vec 2.0, HuBERT or WavLM.

    A convolution without padding never looks past an utterance's end in a frame that lies inside it, so
    three things keep a batch exact: GroupNorm over the utterance's own frames, zeros behind it where the
    position convolution looks past the end (as the convolution's own padding would be), and a key mask.
    """

    max_samples = None

    def __init__(self, config: Wav2Vec2Config):
        super().__init__()
        self.num_layers = config.num_layers
        self.convs = nn.ModuleList(ConvLayer(config, i) for i in range(len(config.conv_dims)))
        self.stack = ConvStack(config.conv_kernels, config.conv_strides)
        self.first = ConvStack(config.conv_kernels[:1], config.conv_strides[:1])
        self.hop, self.min_samples = self.stack.hop, self.stack.size
        self.projection_norm = (
            nn.LayerNorm(config.conv_dims[-1], eps=config.eps) if config.projection_norm else None
        )
        self.projection = nn.Linear(config.conv_dims[-1], config.dim)
        self.positions = nn.Conv1d(
            config.dim,
            config.dim,
            config.pos_kernel,
            padding=config.pos_kernel // 2,
            groups=config.pos_groups,
        )
        self.pre_norm = config.pre_norm
        self.norm = nn.LayerNorm(config.dim, eps=config.eps)
        self.relative = (
            RelativePositions(config.relative_buckets, config.relative_distance, config.heads)
            if config.relative_buckets
            else None
        )
        attention = GatedRelativeAttention if config.relative_buckets else SelfAttention
        self.layers = nn.ModuleList(
            Layer(
                attention(config.dim, config.heads), config.dim, config.ffn_dim, config.pre_norm, config.eps
            )
            for _ in range(config.num_layers)
        )

    def frame_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """Frames of utterances of ``lengths`` samples."""
        return self.stack.frames(lengths)

    def states(
        self, wav, lengths, statistics=None, recompute=False
    ) -> Iterator[tuple[str | int, torch.Tensor]]:
        """Yield the hidden states one after another, so that the caller stops at the last one it needs.

        Args:
            wav: ``(B, T)`` with zeros behind each utterance.
            lengths: ``(B,)`` samples, or None when all rows are full.
            statistics: ``(start, stop)``, both ``(B,)`` in samples, the span over which GroupNorm takes its
                statistics; None for the whole utterance.
            recompute: activations are computed again in the backward pass instead of being kept.

        Yields:
            ``("conv", (B, N, conv_dims[-1]))``, then ``(i, (B, N, dim))`` for i = 0 (input of the first
            layer) to num_layers (the last one behind the final norm where there is one).
        """

        def run(module, *args):
            return checkpoint(module, *args, use_reentrant=False) if recompute else module(*args)

        inside = self._first_layer_span(wav.shape[1], lengths, statistics)
        x = wav[:, None]
        for i, conv in enumerate(self.convs):
            x = run(conv, x, inside if i == 0 else None)
        x = x.transpose(1, 2)
        yield "conv", x

        keys = None
        x = self.projection(x if self.projection_norm is None else self.projection_norm(x))
        if lengths is not None:
            frames = self.frame_lengths(lengths)
            valid = span_mask(torch.zeros_like(frames), frames, x.shape[1])
            x = x.masked_fill(~valid[..., None], 0.0)
            keys = valid[:, None, None, :]
        x = x + run(self._positions, x)
        if not self.pre_norm:
            x = self.norm(x)
        yield 0, x

        relative = self.relative(x.shape[1]) if self.relative is not None else None
        for i, layer in enumerate(self.layers, start=1):
            x = run(layer, x, keys, relative)
            yield i, self.norm(x) if self.pre_norm and i == self.num_layers else x

    def _positions(self, x):
        positions = self.positions
        if x.is_cuda:
            positions = partial(far, positions)
        # an even kernel with padding on both sides gives one output too many
        return F.gelu(positions(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)

    def _first_layer_span(self, width, lengths, statistics):
        """Outputs of the first layer that see nothing but the span of the statistics; None for all."""
        if not isinstance(self.convs[0].norm, nn.GroupNorm) or (lengths is None and statistics is None):
            return None
        if statistics is None:
            start, stop = torch.zeros_like(lengths), lengths
        else:
            start, stop = statistics
        first = -(-start // self.first.hop)
        count = self.first.frames(stop - first * self.first.hop)
        return span_mask(first, first + count, self.first.frames(width))[:, None]
