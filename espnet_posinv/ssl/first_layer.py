"""The first convolution, which turns samples into channels: the largest activation of an encoder.

Its GroupNorm takes mean and variance of every channel over time.  The channel being a product of ``K``
samples with its kernel w, they are ``w m`` and ``w C w'`` with the mean m and covariance C of the samples that
the kernel meets: K x K numbers of an utterance, in float64, in place of two passes over the channels.  So the
normalisation becomes part of the kernel, another one for each utterance.
"""

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.ssl.packing import Packing


def normalised_kernel(
    taps: torch.Tensor, mask: torch.Tensor, blocks: Packing, conv: nn.Conv1d, norm: nn.GroupNorm
) -> tuple[torch.Tensor, torch.Tensor]:
    """A kernel and an offset for each utterance that are the convolution and its GroupNorm.

    Args:
        taps: ``(M, R, K)`` samples that the kernel meets, R outputs for each of M blocks.
        mask: ``(M, R)`` bool, the outputs that count.
        blocks: of which utterance a block is.
        conv: with one input channel; its bias has no effect on what is normalised.
        norm: with one channel a group.

    Returns:
        ``(B, K, C)`` and ``(B, C)`` in float32.
    """
    x = F.pad(taps.double(), (0, 1), value=1.0) * mask[..., None]
    moments = blocks.sums(x.transpose(1, 2) @ x)
    moments = moments / moments[:, -1:, -1:]
    mean = moments[:, -1, :-1]
    covariance = moments[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]
    kernel = conv.weight[:, 0].double()
    variance = ((kernel @ covariance) * kernel).sum(-1)
    scale = norm.weight.double() * (variance + norm.eps).rsqrt()
    offset = norm.bias - scale * (mean @ kernel.t())
    return (scale[:, None, :] * kernel.t()).float(), offset.float()


def rows_of_taps(row: torch.Tensor, conv: nn.Conv1d) -> torch.Tensor:
    """Samples (S,), S a multiple of the stride -> (S / stride, K), those that each output sees."""
    size, stride = conv.kernel_size[0], conv.stride[0]
    return F.pad(row, (0, max(size - stride, 0))).unfold(0, size, stride)


def gelu_of_products(
    taps: torch.Tensor, kernel: torch.Tensor, offset: torch.Tensor, blocks: Packing, dtype: torch.dtype
) -> torch.Tensor:
    """GELU of each utterance's outputs with its own kernel.

    Args:
        taps: ``(M, R, K)``.
        kernel, offset: ``(B, K, C)`` and ``(B, C)``.
        blocks: of which utterance a block is.
        dtype: of the result.

    Returns:
        ``(M * R, C)``.
    """
    if blocks.equal:
        y = torch.baddbmm(offset[:, None], taps.view(len(kernel), -1, taps.shape[2]), kernel).flatten(0, 1)
    else:
        parts = zip(offset, taps.split(blocks.lengths), kernel, strict=True)
        y = torch.cat([torch.addmm(b, x.flatten(0, 1), w) for b, x, w in parts])
    return F.gelu(y.to(dtype))
