"""wav2vec 2.0's convolutional position embedding, as one matrix product for each group of channels."""

import numpy as np
import torch
from torch import nn

from espnet_posinv.device import to_device
from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import prepared

BLOCK = 8  # frames in one row of the product


class PositionConv(nn.Conv1d):
    """A grouped convolution over packed utterances with zero padding around each, ``(N, D)`` -> ``(N, D)``.

    cuDNN has no 16-bit tensor-core kernel for groups, and none for packed utterances.  Here ``BLOCK`` output
    frames are one row of a matrix, the input blocks in their receptive field one row of another, and the
    kernel is a band matrix between them: at most 1 + 2 BLOCK / kernel times the operations.
    """

    def __init__(self, dim: int, kernel: int, groups: int):
        super().__init__(dim, dim, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x: torch.Tensor, frames: Packing) -> torch.Tensor:  # type: ignore[override]
        """x (N, D), the frames of the packed utterances -> (N, D)."""
        return _Banded.apply(x, self.weight, frames) + self.bias


class _Banded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, frames):
        groups, taps = x.shape[1] // weight.shape[1], weight.shape[2]
        ctx.weight, ctx.where = weight, _places(frames, taps, groups)
        return _product(x, prepared(weight, x.dtype, banded, groups, 0), *ctx.where)

    @staticmethod
    def backward(ctx, grad):
        # the gradient is a convolution with the reversed kernel
        groups = grad.shape[1] // ctx.weight.shape[1]
        return _product(grad, prepared(ctx.weight, grad.dtype, banded, groups, 1), *ctx.where), None, None


@torch.compiler.disable
def _places(frames: Packing, taps: int, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`seen` and `rows` of :func:`_product`."""
    blocks = np.array([-(-n // BLOCK) for n in frames.lengths])
    first, total = blocks.cumsum() - blocks, blocks.sum()
    begin, end = (np.repeat(x, blocks)[:, None] for x in (first, first + blocks))
    seen = np.arange(total)[:, None] + np.arange(-_reach(taps), _reach(taps) + 1)
    seen = np.where((seen < begin) | (seen >= end), total, seen).ravel()
    rows = np.repeat(first * BLOCK, frames.lengths) + np.concatenate([np.arange(n) for n in frames.lengths])
    place, row = to_device(torch.from_numpy(np.concatenate([seen, rows])), frames.device).split(
        [len(seen), len(rows)]
    )
    group = torch.arange(groups, device=frames.device)[:, None] * (total + 1)
    return (place + group).flatten(), row


def _product(x: torch.Tensor, band: torch.Tensor, seen: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Product of the receptive field of each block with the band matrix of each group.

    Args:
        x: ``(N, D)``.
        band: ``(G, V * BLOCK * D / G, BLOCK * D / G)``.
        seen: ``(G * M * V)`` indices of the V input blocks of each of the M output blocks, of each group; the
            last block is zeros.
        rows: ``(N,)`` index of each row of x in the blocks.
    """
    groups, _, size = band.shape
    blocks = len(seen) // (groups * band.shape[1] // size)
    laid = x.new_zeros((blocks + 1) * BLOCK, x.shape[1]).index_copy_(0, rows, x)
    laid = laid.view(blocks + 1, BLOCK, groups, -1).permute(2, 0, 1, 3).reshape(-1, size)
    y = laid.index_select(0, seen).view(groups, blocks, -1) @ band
    y = y.view(groups, blocks * BLOCK, -1).transpose(0, 1).reshape(blocks * BLOCK, -1)
    return y.index_select(0, rows)


def _reach(taps: int) -> int:
    """Input blocks before and after a block that are in its receptive field."""
    return -(-(taps // 2) // BLOCK)


def banded(weight: torch.Tensor, groups: int, back: int) -> torch.Tensor:
    """A grouped kernel (O, I, K) as a band matrix.

    Args:
        weight: of the convolution.
        groups: of channels.
        back: 1 for the convolution that gives the gradient: taps in reverse, inputs and outputs exchanged.

    Returns:
        ``(G, V * BLOCK * I, BLOCK * O / G)`` for the V input blocks of an output block.
    """
    taps = weight.unflatten(0, (groups, -1)).permute(0, 3, 2, 1)
    count = taps.shape[1]
    ahead = count - 1 - count // 2 if back else count // 2
    if back:
        taps = taps.flip(1).transpose(2, 3)
    blocks = 2 * _reach(count) + 1
    band = weight.new_zeros(groups, blocks * BLOCK, taps.shape[2], BLOCK, taps.shape[3])
    for r in range(BLOCK):
        first = _reach(count) * BLOCK - ahead + r
        band[:, first : first + count, :, r] = taps
    return band.flatten(3).flatten(1, 2)
