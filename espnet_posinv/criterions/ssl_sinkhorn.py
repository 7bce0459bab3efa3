"""SSL-Sinkhorn: distance of two sets of frames, independent of their order, as in PFPL (arXiv 2010.15174)."""

import torch
import torch.nn.functional as F

from espnet_posinv.criterions.base import SSLLoss
from espnet_posinv.ssl.masking import span_mask


class SSLSinkhornLoss(SSLLoss):
    """Sinkhorn divergence (arXiv 1810.08278) of the frames of F(enhanced) and F(clean), as sets.

    It approximates ``min over transport plans of the mean of ||x - y||^2 / 2``, the Wasserstein distance with
    which PFPL compares wav2vec features. It is independent of positions, but also of the order of sounds:
    every permutation of the frames has distance 0. Frames have unit norm, so their distance is at most 2,
    where the annealing begins, and an utterance's value does not depend on its batch.

    Args:
        upstream: the frozen encoder.
        blur: distance below which frames are not distinguished; the temperature is its square.
        **options: see :class:`SSLLoss`; ``normalize_frames`` can only be True.

    Raises:
        ValueError: blur is not above 0, normalize_frames is False, or geomloss is not installed.

    Example:
        >>> criterion = SSLSinkhornLoss("transformers:egs2/mini_debian/ssl1/mini_hubert")
        >>> clean = torch.sin(torch.arange(16000.0) ** 2 / 4e5)[None]
        >>> abs(criterion(clean, clean)) < 1e-4, criterion(clean, clean.flip(1)) > 1e-4
        (tensor([True]), tensor([True]))
    """

    def __init__(
        self,
        upstream: str,
        *,
        blur: float = 0.05,
        normalize_frames: bool = True,
        name: str = "ssl_sinkhorn",
        **options,
    ):
        super().__init__(upstream, normalize_frames=normalize_frames, name=name, **options)
        try:
            from geomloss import SamplesLoss
        except ImportError:
            raise ValueError(f"{name} needs geomloss: pip install geomloss") from None
        if not blur > 0:
            raise ValueError(f"{name}: blur {blur}: must be above 0")
        if not normalize_frames:
            raise ValueError(f"{name}: normalize_frames must be true: distances are bounded by 2 then")
        self.divergence = SamplesLoss("sinkhorn", p=2, blur=blur, diameter=2.0, backend="tensorized")

    def compare(self, x, y, x_frames, y_frames):
        x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)
        return self.divergence(_weights(x, x_frames), x, _weights(y, y_frames), y)


def _weights(x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """``(B, N)``: equal weights of the utterance's frames, 0 in the padding."""
    return span_mask(torch.zeros_like(frames), frames, x.shape[1]) / frames[:, None]
