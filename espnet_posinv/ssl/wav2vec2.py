"""The network of wav2vec 2.0, HuBERT and WavLM, exact under padding.

One network serves the three families (arXiv 2006.11477, 2106.07447, 2110.13900): strided convolutions on
the waveform, a convolution as position embedding, transformer layers.  The libraries' own forward passes
let padding change the valid frames: the base models' GroupNorm takes its statistics over the whole
padded time axis (huggingface/transformers#21534, pytorch/audio#2242).  Here the frames of an
utterance do not depend on padding; the libraries only supply weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.ssl.first_layer import between, normalised_convolution
from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.positions import PositionConv
from espnet_posinv.ssl.products import convolve, linear
from espnet_posinv.ssl.receptive_field import ConvStack
from espnet_posinv.ssl.transformer import GatedRelativeAttention, Layer, RelativePositions, SelfAttention


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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (L, C) -> (L / stride, C'): convolution, LayerNorm where there is one, GELU."""
        x = convolve(x, self.conv)
        return F.gelu(x if self.norm is None else self.norm(x))

    def first(self, row: torch.Tensor, blocks: Packing, mask: Any, dtype: torch.dtype) -> torch.Tensor:
        """The first layer.

        Args:
            row: ``(S,)`` packed samples.
            blocks: samples of one hop each.
            mask: ``(M, hop / stride)`` bool, the outputs of each block that GroupNorm counts.
            dtype: of the result.

        Returns:
            ``(S / stride, C')``.
        """
        if not isinstance(self.norm, nn.GroupNorm):
            return self(row.to(dtype)[:, None])
        return F.gelu(normalised_convolution(row, blocks, mask, self.conv, self.norm, dtype))


class Wav2Vec2Network(nn.Module):
    """Hidden states of wav2vec 2.0, HuBERT or WavLM.

    Utterances are concatenated, each from a multiple of the hop on, so that the frames of each layer start at
    multiples of its own hop.  A convolution without padding uses no sample after an utterance's end for a
    valid frame; the frame between two utterances is computed and dropped.
    """

    max_samples = None

    def __init__(self, config: Wav2Vec2Config):
        super().__init__()
        self.num_layers = config.num_layers
        self.convs = nn.ModuleList(ConvLayer(config, i) for i in range(len(config.conv_dims)))
        self.stack = ConvStack(config.conv_kernels, config.conv_strides)
        self.first = ConvStack(config.conv_kernels[:1], config.conv_strides[:1])
        self.hop, self.min_samples = self.stack.hop, self.stack.size
        self.more = -(-(self.stack.size - 1) // self.hop)  # hops at most in samples of f frames, less f
        self.projection_norm = (
            nn.LayerNorm(config.conv_dims[-1], eps=config.eps) if config.projection_norm else None
        )
        self.projection = nn.Linear(config.conv_dims[-1], config.dim)
        self.positions = PositionConv(config.dim, config.pos_kernel, config.pos_groups)
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
        self,
        wav: torch.Tensor,
        lengths: list[int],
        frames: Packing,
        statistics: tuple[torch.Tensor, torch.Tensor] | None,
        dtype: torch.dtype,
        run: Callable[..., torch.Tensor],
    ) -> Iterator[tuple[str | int, torch.Tensor]]:
        """Yield the hidden states in order; the caller stops after the last one that it needs.

        Args:
            wav: ``(B, T)`` float32 with zeros after each utterance.
            lengths: samples of each utterance.
            frames: of each utterance.
            statistics: ``(start, stop)``, both ``(B,)`` in samples, best on the CPU: the span over which
                GroupNorm takes its statistics; None for the whole utterance.
            dtype: in which products are made.
            run: calls a module with its arguments, perhaps with activation checkpointing.

        Yields:
            ``("conv", (N, conv_dims[-1]))``, then ``(i, (N, dim))`` for i = 0 (input of the first layer) to
            num_layers (the last one after the final norm if there is one), N frames in all.
        """
        blocks = Packing([n + self.more for n in frames.lengths], wav.device)
        wav = F.pad(wav, (0, blocks.width * self.hop - wav.shape[1]))  # a negative number cuts
        row = blocks.pack(wav.unflatten(1, (-1, self.hop)))
        if statistics is None:
            stop = torch.tensor(lengths)
            statistics = torch.zeros_like(stop), stop
        start = -(-statistics[0] // self.first.hop)  # outputs whose receptive field is inside the span
        stop = start + self.first.frames(statistics[1] - start * self.first.hop)
        mask = between(blocks, start, stop, self.hop // self.first.hop)
        x = run(self.convs[0].first, row.flatten(), blocks, mask, dtype)
        for conv in self.convs[1:]:
            x = run(conv, x)
        x = x.index_select(0, frames.owners * self.more + torch.arange(frames.total, device=x.device))
        yield "conv", x

        if self.projection_norm is not None:
            x = self.projection_norm(x)
        x = run(linear, x, self.projection)
        x = x + F.gelu(run(self.positions, x, frames))
        if not self.pre_norm:
            x = self.norm(x)
        yield 0, x

        relative = self.relative(frames.width) if self.relative is not None else None
        for i, layer in enumerate(self.layers, start=1):
            x = run(layer, x, frames, relative)
            yield i, self.norm(x) if self.pre_norm and i == self.num_layers else x
