"""SSL-MSE: frame-by-frame distance of representations (arXiv 2601.21084)."""

import torch
import torch.nn.functional as F

from espnet_posinv.criterions.base import SSLLoss
from espnet_posinv.ssl.masking import span_mask


def mean_square(x: torch.Tensor, y: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """``(1/m) sum_{i < m} ||x_i - y_i||^2``, ``(B,)``, of x, y ``(B, N, D)`` with m = `frames` ``(B,)``."""
    valid = span_mask(torch.zeros_like(frames), frames, x.shape[1])
    squares = (x - y).square().sum(-1)
    return squares.masked_fill(~valid, 0.0).sum(1) / frames


class SSLMSELoss(SSLLoss):
    """``(1/m) sum_i ||x_i - x'_i||^2`` with x = F(clean), x' = F(enhanced), m frames.

    Sensitive to position: content moved by one frame is compared with the wrong frames.  Keys: see
    :class:`SSLLoss`.

    Example:
        >>> criterion = SSLMSELoss("transformers:egs2/mini_debian/ssl1/mini_hubert")
        >>> clean = torch.sin(torch.arange(16000.0) ** 2 / 4e5)[None]
        >>> criterion(clean, clean), criterion(clean, clean.flip(1)) > 1
        (tensor([0.]), tensor([True]))
    """

    def __init__(self, upstream: str, *, name: str = "ssl_mse", **options):
        super().__init__(upstream, name=name, **options)

    def compare(self, x, y, x_frames, y_frames):
        if self.normalize_frames:
            x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
        return mean_square(x, y, x_frames)
