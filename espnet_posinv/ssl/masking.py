"""Masks of valid positions, and statistics over them."""

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


def masked_standardise(x: torch.Tensor, mask: torch.Tensor, eps: float) -> torch.Tensor:
    """``(x - mean) / sqrt(var + eps)`` along the last axis, mean and population variance taken where mask.

    With the mask of an utterance's samples, the result does not depend on the rest of the row.

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
