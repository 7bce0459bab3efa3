"""The public functions: checks of what the caller gives, and which kernels compute it."""

import math
import operator
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from espnet_posinv.softdtw.autograd import (
    CostLoss,
    FrameLoss,
    alignment,
    centred,
    frame_costs,
    unit_frames,
    valid_frames,
)
from espnet_posinv.softdtw.problem import Problem

DISTANCES = ("sqeuclidean", "cosine")


def _uncompiled(function):
    """Decorator: torch.compile breaks its graph at `function`, whose numba kernels it cannot look into.

    `torch.compiler.disable` by itself would import torch's compiler, which takes as long as a first call.
    """

    @wraps(function)
    def call(*args, **kwargs):
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call


@_uncompiled
def soft_dtw(
    x: Tensor | None = None,
    y: Tensor | None = None,
    *,
    cost: Tensor | None = None,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW of each pair of sequences (Cuturi & Blondel, arXiv 1703.01541, eq. 1).

    The soft minimum, over all monotone alignments A of frames, of the summed cost:
    ``-gamma log sum_A exp(-<A, D> / gamma)``.  It can be negative; see `soft_dtw_divergence`.

    Args:
        x, y: frames (B, N, D) and (B, M, D); float64, float32, bfloat16 or float16.
        cost: instead of x and y, the costs D (B, N, M).  A cell of +inf is forbidden.
        x_lengths, y_lengths: valid frames of each sequence, integers (B,); default all.  What stands behind
            them is never read and gets gradient 0.
        gamma: smoothing, in the unit of the costs; gamma -> 0 gives DTW.
        distance: "sqeuclidean" ``|x_i - y_j|^2``, or "cosine" ``1 - cos(x_i, y_j)``.
        normalize_frames: divide each frame by its L2 norm first.  A frame of zeros stays what it is (its
            cosine with any other is 0) and gets no gradient.
        band: Sakoe-Chiba band in frames of the shorter sequence around the straight line between the corners.

    Returns:
        (B,), one loss per pair (not divided by its length); float64 for float64 input, else float32.
        NaN in the valid part makes that pair NaN; +inf means that +inf costs leave no alignment.

    Raises:
        ValueError: shapes, devices, lengths, gamma, distance or band that make no sense.
        TypeError: a dtype that is not a floating-point one (integer for lengths and band).
        RuntimeError: on a second derivative, which is not implemented.
    """
    if cost is not None:
        if x is not None or y is not None:
            raise ValueError("soft_dtw: give x and y, or cost, not both")
        cost, x_lengths, y_lengths = _check_cost(cost, x_lengths, y_lengths)
        return CostLoss.apply(cost, x_lengths, y_lengths, _check_gamma(gamma), _check_band(band))
    x, y, x_lengths, y_lengths = _check_frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
    options = (_check_gamma(gamma), _check_band(band), distance == "cosine", False)
    return FrameLoss.apply(x, y, x_lengths, y_lengths, *options)


@_uncompiled
def soft_dtw_divergence(
    x: Tensor,
    y: Tensor,
    *,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Soft-DTW divergence ``sdtw(x,y) - sdtw(x,x)/2 - sdtw(y,y)/2`` (Blondel et al., arXiv 2010.08354).

    Zero for x = y and, unlike soft-DTW, smallest there.  Arguments, result and errors are those of
    `soft_dtw`; all three terms are computed together, the two symmetric ones on one triangle, and a side
    that needs no gradient costs none.
    """
    x, y, x_lengths, y_lengths = _check_frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
    options = (_check_gamma(gamma), _check_band(band), distance == "cosine", True)
    return FrameLoss.apply(x, y, x_lengths, y_lengths, *options)


@_uncompiled
def soft_alignment(
    x: Tensor | None = None,
    y: Tensor | None = None,
    *,
    cost: Tensor | None = None,
    x_lengths=None,
    y_lengths=None,
    gamma: float = 0.1,
    distance: str = "sqeuclidean",
    normalize_frames: bool = False,
    band: int | None = None,
) -> Tensor:
    """Expected alignment E (B, N, M): the gradient of `soft_dtw` by the costs, to look at or plot.

    E[b, i, j], in [0, 1] up to rounding, is the probability that a random alignment, drawn with weight
    exp(-cost / gamma), passes through cell (i, j) (arXiv 1703.01541, section 2.2).  0 in the padding.
    Arguments as for `soft_dtw`; the result carries no gradient.
    """
    with torch.no_grad():
        if cost is None:
            x, y, x_lengths, y_lengths = _check_frames(x, y, x_lengths, y_lengths, distance, normalize_frames)
            cost = frame_costs(x, y, distance == "cosine")
        elif x is not None or y is not None:
            raise ValueError("soft_alignment: give x and y, or cost, not both")
        cost, x_lengths, y_lengths = _check_cost(cost, x_lengths, y_lengths)
        return alignment(Problem([cost], x_lengths, y_lengths, _check_gamma(gamma), _check_band(band)))


class SoftDTW(nn.Module):
    """`soft_dtw`, or with ``divergence=True`` `soft_dtw_divergence`, as a module.

    Args: as for `soft_dtw`.  ``forward(x, y, x_lengths=None, y_lengths=None) -> (B,)``.
    """

    def __init__(
        self,
        gamma: float = 0.1,
        distance: str = "sqeuclidean",
        normalize_frames: bool = False,
        band: int | None = None,
        divergence: bool = False,
    ):
        super().__init__()
        self.options: dict[str, Any] = {
            "gamma": _check_gamma(gamma),
            "distance": _check_distance(distance),
            "normalize_frames": normalize_frames,
            "band": band if _check_band(band) >= 0 else None,
        }
        self.divergence = divergence

    def forward(self, x: Tensor, y: Tensor, x_lengths=None, y_lengths=None) -> Tensor:
        loss = soft_dtw_divergence if self.divergence else soft_dtw
        return loss(x, y, x_lengths=x_lengths, y_lengths=y_lengths, **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in {**self.options, "divergence": self.divergence}.items())


def _check_gamma(gamma) -> float:
    if isinstance(gamma, bool):
        raise TypeError(f"soft-DTW: gamma must be a number, got {gamma}")
    if isinstance(gamma, Tensor) and gamma.requires_grad:
        raise TypeError("soft-DTW: gamma must be a number; its gradient is not implemented")
    gamma = float(gamma)
    if not (gamma > 0 and math.isfinite(gamma)):
        raise ValueError(f"soft-DTW: gamma must be positive and finite, got {gamma} (1e-3 is all but DTW)")
    return gamma


def _check_band(band) -> int:
    if band is None:
        return -1
    try:
        if isinstance(band, bool):
            raise TypeError
        band = operator.index(band)
    except TypeError:
        raise TypeError(f"soft-DTW: band must be an integer number of frames or None, got {band!r}") from None
    if band < 0:
        raise ValueError(f"soft-DTW: band must be >= 0 frames, got {band}")
    return min(band, 2**30)


def _check_distance(distance) -> str:
    if distance not in DISTANCES:
        raise ValueError(f"soft-DTW: distance must be one of {', '.join(DISTANCES)}, got {distance!r}")
    return distance


def _check_tensor(name: str, tensor, shape: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"soft-DTW: {name} must be a tensor {shape}, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(f"soft-DTW: {name} must be floating point, got {tensor.dtype}")
    if tensor.ndim != 3:
        raise ValueError(f"soft-DTW: {name} must have shape {shape}, got {tuple(tensor.shape)}")
    if tensor.device.type not in ("cpu", "cuda"):
        raise ValueError(f"soft-DTW: {name} is on {tensor.device}; only CPU and CUDA tensors are supported")


def _check_lengths(name: str, lengths, like: Tensor, width: int) -> Tensor:
    if width == 0:
        raise ValueError(f"soft-DTW: {name} would be 0 for shape {tuple(like.shape)}; give >= 1 frame")
    batch = like.shape[0]
    if lengths is None:
        return torch.full((batch,), width, device=like.device)
    lengths = torch.as_tensor(lengths)
    if lengths.dtype == torch.bool or lengths.is_floating_point() or lengths.is_complex():
        raise TypeError(f"soft-DTW: {name} must be integers, got {lengths.dtype}")
    if lengths.shape != (batch,):
        raise ValueError(f"soft-DTW: {name} must have shape ({batch},), got {tuple(lengths.shape)}")
    # Reading values that lie on a GPU would make the host wait; there the kernel turns bad lengths into NaN.
    if lengths.device.type == "cpu":
        for b, length in enumerate(lengths.tolist()):
            if not 1 <= length <= width:
                raise ValueError(f"soft-DTW: {name}[{b}] = {length} must lie in 1..{width}")
    return _saveable(lengths.to(like.device, torch.int64))


def _check_cost(cost, x_lengths, y_lengths) -> tuple[Tensor, Tensor, Tensor]:
    _check_tensor("cost", cost, "(B, N, M)")
    x_lengths = _check_lengths("x_lengths", x_lengths, cost, cost.shape[1])
    y_lengths = _check_lengths("y_lengths", y_lengths, cost, cost.shape[2])
    return _tracked(_at_least_float32(cost)), x_lengths, y_lengths


def _check_frames(x, y, x_lengths, y_lengths, distance, normalize_frames):
    _check_distance(distance)
    _check_tensor("x", x, "(B, N, D)")
    _check_tensor("y", y, "(B, M, D)")
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[2]:
        raise ValueError(f"soft-DTW: x {tuple(x.shape)}, y {tuple(y.shape)}: B and D must agree")
    if x.device != y.device:
        raise ValueError(f"soft-DTW: x is on {x.device} and y on {y.device}")
    ragged = x_lengths is not None or y_lengths is not None
    x_lengths = _check_lengths("x_lengths", x_lengths, x, x.shape[1])
    y_lengths = _check_lengths("y_lengths", y_lengths, y, y.shape[1])
    if x.dtype != y.dtype:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(dtype), y.to(dtype)
    x, y = _tracked(x), _tracked(y)
    if ragged:
        x, y = valid_frames(x, y, x_lengths, y_lengths)
    if normalize_frames or distance == "cosine":
        x, y = unit_frames(x), unit_frames(y)
    if distance == "sqeuclidean":
        x, y = centred(x, y, y_lengths)
    return x, y, x_lengths, y_lengths


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize < 4 else tensor


def _tracked(tensor: Tensor) -> Tensor:
    """Under no_grad too an autograd function is told that a tensor wants a gradient, and would keep state."""
    return _saveable(tensor) if torch.is_grad_enabled() else tensor.detach()


def _saveable(tensor: Tensor) -> Tensor:
    """A copy of what was made under inference_mode, outside of it: autograd saves no such tensors."""
    copy = tensor.is_inference() and not torch.is_inference_mode_enabled()
    return tensor.clone() if copy else tensor
