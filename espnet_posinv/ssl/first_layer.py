"""The first convolution and its GroupNorm as one product: the largest activation of an encoder.

Its GroupNorm takes mean and variance of every channel over time.  A channel is the
product of ``K`` samples with its kernel w, so they are ``w m`` and ``w C w'`` with the mean m and covariance
C of the windows of K samples: K x K numbers for each utterance, in float64, not passes over the channels.
The normalisation becomes part of the kernel of each utterance, and the layer is one product.
"""

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.device import to_device
from espnet_posinv.ssl.packing import Packing

WIDTH = 8  # taps are a multiple, as products of 16 bits want it


def between(blocks: Packing, start: torch.Tensor, stop: torch.Tensor, size: int) -> torch.Tensor:
    """Mask (M, size) of each utterance's outputs from start (B,) to before stop (B,), `size` in a block."""
    at = torch.arange(size, device=blocks.device) + blocks.positions[:, None] * size
    start, stop = to_device(torch.stack([start, stop]), at.device)[:, blocks.owners, None]
    return (at >= start) & (at < stop)


def normalised_convolution(
    row: torch.Tensor,
    blocks: Packing,
    mask: torch.Tensor,
    conv: nn.Conv1d,
    norm: nn.GroupNorm,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Convolution and GroupNorm over the outputs of each utterance that count.

    Args:
        row: ``(S,)`` packed samples.
        blocks: of how many samples, a multiple of the stride, an utterance takes up.
        mask: ``(M, R)`` bool, which of the R outputs of each of the M blocks the norm counts; one of an
            utterance at least.
        conv: with one input channel; its bias has no effect on what is normalised.
        norm: with one channel a group.
        dtype: in which the product is made.

    Returns:
        ``(S / stride, C)``.
    """
    size, stride = conv.kernel_size[0], conv.stride[0]
    taps = F.pad(row, (0, max(size - stride, 0))).unfold(0, size, stride)
    taps = F.pad(taps, (0, 1), value=1.0).view(blocks.total, -1, size + 1)  # the one is for the offset
    kernel = normalised_kernel(taps, mask, blocks, conv, norm)
    pad = -(size + 1) % WIDTH
    taps, kernel = F.pad(taps, (0, pad)).to(dtype), F.pad(kernel, (0, 0, 0, pad)).to(dtype)
    return _OwnProduct.apply(taps, kernel, blocks).flatten(0, 1)


def normalised_kernel(
    taps: torch.Tensor, mask: torch.Tensor, blocks: Packing, conv: nn.Conv1d, norm: nn.GroupNorm
) -> torch.Tensor:
    """A kernel for each utterance that is the convolution and its GroupNorm.

    Args:
        taps: ``(M, R, K + 1)`` samples that the kernel meets and a one, R outputs for each of M blocks.
        mask, blocks, conv, norm: as in :func:`normalised_convolution`.

    Returns:
        ``(B, K + 1, C)`` float32, the offset last.
    """
    x = taps.double() * mask[..., None]
    moments = blocks.sums(x.transpose(1, 2) @ x)
    moments = moments / moments[:, -1:, -1:]
    mean = moments[:, -1:, :-1]
    covariance = moments[:, :-1, :-1] - mean.transpose(1, 2) * mean
    kernel = conv.weight[:, 0].double()
    variance = ((kernel @ covariance) * kernel).sum(-1, keepdim=True).transpose(1, 2)
    scale = norm.weight.double() * (variance + norm.eps).rsqrt()
    kernel = scale * kernel.t()
    return torch.cat([kernel, norm.bias - mean @ kernel], 1).float()


class _OwnProduct(torch.autograd.Function):
    """Blocks (M, R, K) times the kernel (B, K, C) of the utterance that each belongs to, -> (M, R, C)."""

    @staticmethod
    def forward(ctx, taps, kernel, blocks):
        ctx.blocks = blocks
        ctx.save_for_backward(taps, kernel)
        return taps @ kernel[blocks.owners]

    @staticmethod
    def backward(ctx, grad):
        taps, kernel = ctx.saved_tensors
        d_taps = grad @ kernel[ctx.blocks.owners].transpose(1, 2)
        return d_taps, ctx.blocks.sums(taps.transpose(1, 2) @ grad), None
