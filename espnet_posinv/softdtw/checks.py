"""Checks of the public functions' arguments; each returns the checked value."""

import math
import operator

import torch
from torch import Tensor

from espnet_posinv.softdtw.autograd import centred, unit_frames, valid_frames

DISTANCES = ("sqeuclidean", "cosine")


def gamma(value) -> float:
    if isinstance(value, bool):
        raise TypeError(f"soft-DTW: gamma must be a number, got {value}")
    if isinstance(value, Tensor) and value.requires_grad:
        raise TypeError("soft-DTW: gamma must be a number; its gradient is not implemented")
    try:
        value = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"soft-DTW: gamma must be a number, got {value!r}") from None
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"soft-DTW: gamma must be positive and finite, got {value} (1e-3 is nearly DTW)")
    return value


def band(value) -> int:
    """The band in frames; -1 for None."""
    if value is None:
        return -1
    try:
        if isinstance(value, bool):
            raise TypeError
        value = operator.index(value)
    except TypeError:
        raise TypeError(
            f"soft-DTW: band must be an integer number of frames or None, got {value!r}"
        ) from None
    if value < 0:
        raise ValueError(f"soft-DTW: band must be >= 0 frames, got {value}")
    return min(value, 2**30)


def distance(name) -> str:
    if name not in DISTANCES:
        raise ValueError(f"soft-DTW: distance must be one of {', '.join(DISTANCES)}, got {name!r}")
    return name


def _tensor(name: str, tensor, shape: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"soft-DTW: {name} must be a tensor {shape}, got {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(f"soft-DTW: {name} must be floating point, got {tensor.dtype}")
    if tensor.ndim != 3:
        raise ValueError(f"soft-DTW: {name} must have shape {shape}, got {tuple(tensor.shape)}")
    if tensor.device.type not in ("cpu", "cuda"):
        raise ValueError(f"soft-DTW: {name} is on {tensor.device}; only CPU and CUDA tensors are supported")


def _lengths(name: str, lengths, like: Tensor, width: int) -> Tensor:
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
    # Reading values from a GPU would make the host wait; there the kernel returns NaN for invalid lengths.
    if lengths.device.type == "cpu":
        for b, length in enumerate(lengths.tolist()):
            if not 1 <= length <= width:
                raise ValueError(f"soft-DTW: {name}[{b}] = {length} must lie in 1..{width}")
    return _saveable(lengths.to(like.device, torch.int64))


def only_costs(x, y, metric: str, normalize: bool) -> None:
    """With costs there are neither frames nor what is done to them."""
    if x is not None or y is not None:
        raise ValueError("soft-DTW: give x and y, or cost, not both")
    if metric != "sqeuclidean" or normalize:
        raise ValueError("soft-DTW: distance and normalize_frames are for x and y; with cost give neither")


def costs(cost, x_lengths, y_lengths) -> tuple[Tensor, Tensor, Tensor]:
    """Costs in float32 or float64, and the lengths of the two sides."""
    _tensor("cost", cost, "(B, N, M)")
    x_lengths = _lengths("x_lengths", x_lengths, cost, cost.shape[1])
    y_lengths = _lengths("y_lengths", y_lengths, cost, cost.shape[2])
    return _tracked(_at_least_float32(cost)), x_lengths, y_lengths


def frames(x, y, x_lengths, y_lengths, metric: str, normalize: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames, cleared of padding and normalised as the distance needs, and their lengths."""
    distance(metric)
    _tensor("x", x, "(B, N, D)")
    _tensor("y", y, "(B, M, D)")
    if x.shape[0] != y.shape[0] or x.shape[2] != y.shape[2]:
        raise ValueError(f"soft-DTW: x {tuple(x.shape)}, y {tuple(y.shape)}: B and D must agree")
    if x.device != y.device:
        raise ValueError(f"soft-DTW: x is on {x.device} and y on {y.device}")
    ragged = x_lengths is not None or y_lengths is not None
    x_lengths = _lengths("x_lengths", x_lengths, x, x.shape[1])
    y_lengths = _lengths("y_lengths", y_lengths, y, y.shape[1])
    if x.dtype != y.dtype:
        dtype = torch.promote_types(x.dtype, y.dtype)
        x, y = x.to(dtype), y.to(dtype)
    x, y = _tracked(x), _tracked(y)
    if ragged:
        x, y = valid_frames(x, y, x_lengths, y_lengths)
    if normalize or metric == "cosine":
        x, y = unit_frames(x), unit_frames(y)
    if metric == "sqeuclidean":
        x, y = centred(x, y, y_lengths)
    return x, y, x_lengths, y_lengths


def _at_least_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.itemsize < 4 else tensor


def _tracked(tensor: Tensor) -> Tensor:
    """Detached under no_grad: an autograd function would see `requires_grad` and keep state even then."""
    return _saveable(tensor) if torch.is_grad_enabled() else tensor.detach()


def _saveable(tensor: Tensor) -> Tensor:
    """A copy if the tensor was made under inference_mode and is used outside: autograd cannot save it."""
    copy = tensor.is_inference() and not torch.is_inference_mode_enabled()
    return tensor.clone() if copy else tensor
