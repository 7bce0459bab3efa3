"""What lies inside an utterance and what is padding, and statistics over the inside alone."""

import torch


def span_mask(start: torch.Tensor, stop: torch.Tensor, width: int) -> torch.Tensor:
    """True for the positions ``start[b] <= t < stop[b]``.

    Args:
        start: ``(B,)`` first position of each row, integer.
        stop: ``(B,)`` one past the last position.
        width: number of positions.

    Returns:
        ``(B, width)`` bool.
    """
    t = torch.arange(width, device=stop.device)
    return (t >= start[:, None]) & (t < stop[:, None])


def masked_channel_norm(x: torch.Tensor, mask: torch.Tensor, norm: torch.nn.GroupNorm) -> torch.Tensor:
    """GroupNorm with one channel a group, its statistics taken where mask.

    In few passes over what is the largest activation of an encoder: with zeros outside, the fused mean m and
    variance v over all T positions give those over the n inside, T/n m and T/n (v + m^2) - (T/n m)^2.  The
    difference loses digits only where the mean is large against the deviation; that of a convolution without
    bias is not.

    Args:
        x: ``(B, C, T)``.
        mask: ``(B, 1, T)`` bool, at least one True in every row.
        norm: with C groups.

    Returns:
        ``(B, C, T)`` float32; outside of the mask it means nothing.
    """
    x = x.masked_fill(~mask, 0.0).float()
    var, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
    inside = x.shape[-1] / mask.sum(-1, keepdim=True)
    square = inside * (var + mean.square())
    mean = inside * mean
    scale = norm.weight[:, None] * torch.rsqrt(square - mean.square() + norm.eps)
    return torch.addcmul(norm.bias[:, None] - mean * scale, x, scale)


def masked_standardise(x: torch.Tensor, mask: torch.Tensor, eps: float) -> torch.Tensor:
    """``(x - mean) / sqrt(var + eps)`` along the last axis, mean and population variance taken where mask.

    With the mask of an utterance's own samples this is what the utterance gets when it is alone, whatever
    stands elsewhere in the row.

    Args:
        x: ``(..., T)`` float.
        mask: broadcastable to x, bool, at least one True in every row.
        eps: added to the variance.
    """
    x = x.float()  # sums over thousands of samples, also under autocast
    weight = mask.to(x.dtype)
    count = weight.sum(-1, keepdim=True)
    mean = (x * weight).sum(-1, keepdim=True) / count
    centred = x - mean
    var = (centred.square() * weight).sum(-1, keepdim=True) / count
    return centred * torch.rsqrt(var + eps)
