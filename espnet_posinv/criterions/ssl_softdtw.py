"""SSL-SoftDTW: alignment-invariant distance to a slower or faster reference (arXiv 2601.21084)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch

from espnet_posinv.criterions.base import SSLLoss
from espnet_posinv.criterions.batch import at_rate, current_batch, generators
from espnet_posinv.perturb.speed import Speed
from espnet_posinv.softdtw import checks, soft_alignment, soft_dtw, soft_dtw_divergence

SCALES = ("sum", "none")


class SSLSoftDTWLoss(SSLLoss):
    """Soft-DTW (arXiv 1703.01541) between F(enhanced), N frames, and F(speed-perturbed clean), M frames.

    The two sequences differ in length and in the positions of their content, so only content is compared.
    By default the divergence ``sdtw(x, y) - sdtw(x, x) / 2 - sdtw(y, y) / 2`` (arXiv 2010.08354), which is
    non-negative and zero for equal sequences, divided by N + M.

    Args:
        upstream: the frozen encoder.
        speeds: factors, of which one is drawn for each reference; [1.0] for none.
        perturbed_ref: True uses the data's ``perturbed_ref1`` (tempo changed offline) instead.
        gamma: softness; a value far below the frame distances gives hard DTW.
        divergence: False for plain soft-DTW, which can be negative.
        distance: of two frames, "sqeuclidean" (see :func:`espnet_posinv.softdtw.soft_dtw`).
        normalize_frames: unit L2 norm for each frame, so that squared distances lie in [0, 4].
        projection: None, or the number of dimensions that frames are projected to, by a fixed random
            semi-orthogonal matrix (a learned one could collapse against a frozen target).
        scale: "sum" divides by N + M, "none" does not.
        band: None, or how many frames the alignment may leave the diagonal (see ``soft_dtw``).
        **options: see :class:`SSLLoss`.

    Example:
        >>> criterion = SSLSoftDTWLoss("transformers:egs2/mini_debian/ssl1/mini_hubert", speeds=[1.25])
        >>> clean = torch.sin(torch.arange(16000.0) ** 2 / 4e5)[None]
        >>> loss = criterion(clean, clean)
        >>> loss < criterion(clean, clean.flip(1)), criterion.stats["ssl_softdtw_reference_frames"]
        (tensor([True]), tensor([39.]))
    """

    def __init__(
        self,
        upstream: str,
        *,
        speeds: Sequence[float] = (0.9, 1.0, 1.1),
        perturbed_ref: bool = False,
        gamma: float = 0.1,
        divergence: bool = True,
        distance: str = "sqeuclidean",
        normalize_frames: bool = True,
        projection: int | None = None,
        scale: str = "sum",
        band: int | None = None,
        name: str = "ssl_softdtw",
        **options,
    ):
        super().__init__(upstream, normalize_frames=normalize_frames, name=name, **options)
        if scale not in SCALES:
            raise ValueError(f"scale {scale!r}: one of {', '.join(SCALES)}")
        if perturbed_ref and self.references is not None:
            raise ValueError(f"{name}: give either perturbed_ref or references, not both")
        if isinstance(speeds, str) or not isinstance(speeds, Iterable):
            raise ValueError(f"{name}: speeds {speeds!r}: a list of numbers is needed, like [0.9, 1.0, 1.1]")
        self.speed = Speed(tuple(speeds))
        self.perturbed_ref = perturbed_ref
        self.distance_of = soft_dtw_divergence if divergence else soft_dtw
        checks.band(band)
        self.softdtw_options = {
            "gamma": checks.gamma(gamma),
            "distance": checks.distance(distance),
            "normalize_frames": normalize_frames,
            "band": band,
        }
        self.projection = projection
        self.scale = scale

    def distance(self, ref, inf, lengths):
        if self.perturbed_ref:
            moved, moved_lengths = self._perturbed(ref)
            factors = lengths / moved_lengths
            clean, clean_frames = self.encode_clean(moved, moved_lengths)
        else:
            factors = [self.speed.draw(g) for g in generators(self.name, len(ref))]
            clean, clean_frames = self.encode_clean(ref, lengths, factors)
        enhanced, frames = self.encoder(inf.device)(inf, lengths)
        self.report(frames=frames, reference_frames=clean_frames, speed=factors)
        return self.compare(enhanced, clean, frames, clean_frames)

    def compare(self, x, y, x_frames, y_frames):
        loss = self._apply(self.distance_of, x, y, x_frames, y_frames)
        return loss / (x_frames + y_frames) if self.scale == "sum" else loss

    def align(
        self, x: torch.Tensor, y: torch.Tensor, x_frames: torch.Tensor, y_frames: torch.Tensor
    ) -> torch.Tensor:
        """The expected alignment ``(B, N, M)`` of ``compare``, without gradient."""
        with torch.no_grad():
            return self._apply(soft_alignment, x, y, x_frames, y_frames)

    def _apply(self, function, x, y, x_frames, y_frames):
        if self.projection is not None:
            matrix = torch.from_numpy(_projection(x.shape[-1], self.projection)).to(x)
            x, y = x @ matrix, y @ matrix
        return function(x, y, x_lengths=x_frames, y_lengths=y_frames, **self.softdtw_options)

    def _perturbed(self, ref):
        """The data's own perturbed references and their lengths."""
        batch = current_batch()
        if batch.perturbed is None:
            raise ValueError(
                f"{self.name}: perturbed_ref is true, but the batch has no perturbed_ref1; add "
                "--train_data_path_and_name_and_type SCP,perturbed_ref1,sound (and the same for valid)"
            )
        return at_rate(batch.perturbed, batch.perturbed_lengths.cpu(), self.sample_rate)


@lru_cache
def _projection(inputs: int, outputs: int) -> np.ndarray:
    """``(inputs, outputs)`` with orthonormal columns, the same in every run.

    An array, since a cached tensor made under inference_mode could not be used in training.
    """
    if outputs > inputs:
        raise ValueError(f"projection {outputs}: the features have {inputs} dimensions only")
    rng = torch.Generator("cpu").manual_seed(0)
    gaussian = torch.randn(inputs, outputs, generator=rng, dtype=torch.float64, device="cpu")
    return torch.linalg.qr(gaussian)[0].float().numpy()
