"""The convolution that tells wav2vec 2.0's layers where a frame is, as one product for each group."""

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import prepared

BLOCK = 8  # frames that are computed as one row of the product


class PositionConv(nn.Conv1d):
    """A grouped convolution whose outputs see zeros outside of their utterance, as many as inputs.

    cuDNN has no kernel of 16 bits for groups that uses tensor cores, and none that knows where an utterance
    ends.  Here ``BLOCK`` frames are one row of a matrix, the ``BLOCK + kernel - 1`` frames that they see one
    row of another, and the kernel is a band matrix between them: 1 + BLOCK / kernel times the operations.
    """

    def __init__(self, dim: int, kernel: int, groups: int):
        super().__init__(dim, dim, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x: torch.Tensor, frames: Packing) -> torch.Tensor:
        """x (N, D), the frames of the packed utterances -> (N, D)."""
        y = _Banded.apply(x, self.weight, frames)
        return y + prepared(self.bias, x.dtype)


class _Banded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, frames):
        ctx.weight, ctx.frames = weight, frames
        band = prepared(weight, x.dtype, banded, x.shape[1] // weight.shape[1])
        return _product(x, band, frames, weight.shape[2] // 2)

    @staticmethod
    def backward(ctx, grad):
        # an input is seen by outputs on both sides of it: a convolution again, its kernel turned round
        weight, taps = ctx.weight, ctx.weight.shape[2]
        band = prepared(weight, grad.dtype, banded_back, grad.shape[1] // weight.shape[1])
        return _product(grad, band, ctx.frames, taps - 1 - taps // 2), None, None


def _product(x, band, frames: Packing, before: int):
    """Each block's window, which begins `before` frames ahead of it, times the band matrix of its group."""
    groups, inputs, outputs = band.shape
    size = inputs // (x.shape[1] // groups)  # of a window
    blocks = Packing([-(-n // BLOCK) for n in frames.lengths], x.device)
    counts = frames.starts.diff()[blocks.owners]
    first = blocks.positions * BLOCK - before
    seen = first[:, None] + torch.arange(size, device=x.device)
    outside = (seen < 0) | (seen >= counts[:, None])
    rows = (seen + frames.starts[blocks.owners][:, None]).masked_fill(outside, frames.total)
    x = F.pad(x, (0, 0, 0, 1)).unflatten(1, (groups, -1)).transpose(0, 1).contiguous()
    windows = x.index_select(1, rows.flatten()).view(groups, blocks.total, inputs)
    y = (windows @ band).view(groups, blocks.total * BLOCK, -1)
    mine = blocks.starts[frames.owners] * BLOCK + frames.positions
    return y.index_select(1, mine).transpose(0, 1).flatten(1)


def banded(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """A kernel (O, I, K) in so many groups -> (G, (BLOCK + K - 1) * I, BLOCK * O / G)."""
    taps = weight.unflatten(0, (groups, -1)).permute(0, 3, 2, 1)
    count, inputs, outputs = taps.shape[1:]
    band = weight.new_zeros(groups, BLOCK + count - 1, inputs, BLOCK, outputs)
    for r in range(BLOCK):
        band[:, r : r + count, :, r] = taps
    return band.flatten(3).flatten(1, 2)


def banded_back(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The same of the convolution that gives the gradient: taps in reverse, inputs and outputs exchanged."""
    return banded(weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1).flip(-1), groups)
