"""Products with frozen weights: laid out once, in float32, TF32 or bfloat16."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

_use_tf32 = False


@torch.compiler.disable
def prepared(weight: torch.Tensor, dtype: torch.dtype, layout: Callable[..., torch.Tensor], *args: int):
    """``layout(weight, *args)`` of a frozen weight in this dtype, cached until the weight changes.

    The cache is an attribute of the weight, which neither copies nor state_dicts include.
    """
    if _get_current_dispatch_mode() is not None:  # tensors created within a mode cannot be used outside of it
        return layout(weight, *args).to(dtype).contiguous()
    state = weight.data_ptr(), 0 if weight.is_inference() else weight._version
    kept = weight.__dict__.setdefault("_prepared", {})
    found = kept.get((dtype, layout, args))
    if found is None or found[0] != state:
        with torch.inference_mode(False), torch.no_grad():
            value = layout(weight.detach(), *args).to(dtype).contiguous()
        found = kept[dtype, layout, args] = state, value
    return found[1]


@contextmanager
def tf32(enabled: bool) -> Iterator[None]:
    """Products of float32 that are made within, and their backward passes, take TF32 where a GPU has it."""
    global _use_tf32
    before, _use_tf32 = _use_tf32, enabled
    try:
        yield
    finally:
        _use_tf32 = before


@contextmanager
def _precision(use_tf32: bool) -> Iterator[None]:
    """PyTorch's switch for all products of the process, on only for one of ours."""
    if not use_tf32:
        yield
        return
    switch = torch.backends.cuda.matmul
    name, value = ("fp32_precision", "tf32") if hasattr(switch, "fp32_precision") else ("allow_tf32", True)
    before = getattr(switch, name)
    setattr(switch, name, value)
    try:
        yield
    finally:
        setattr(switch, name, before)


class _StridedProduct(torch.autograd.Function):
    """A convolution's input ``(L, C)`` times its kernel, without an im2col copy.

    ``stride`` neighbouring rows are one row of a matrix, and the first ``stride`` taps one product with it.
    Further taps meet the next row of the matrix: a second product, added to the first.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, stride):
        ctx.stride, ctx.tf32, ctx.channels = stride, _use_tf32, x.shape[1]
        ctx.save_for_backward(weight)
        blocks = x.view(-1, stride * ctx.channels)
        with _precision(ctx.tf32):
            y = None
            for part, shift in _taps(weight, stride * ctx.channels):
                inputs = blocks[shift:, : len(part)]
                if y is None:
                    y = inputs @ part if bias is None else torch.addmm(bias, inputs, part)
                else:
                    y[: len(y) - shift].addmm_(inputs, part)
        return y

    @staticmethod
    def backward(ctx, grad):
        (weight,) = ctx.saved_tensors
        width = ctx.stride * ctx.channels
        with _precision(ctx.tf32):
            dx = None
            for part, shift in _taps(weight, width):
                if dx is None:
                    dx = (
                        F.pad(grad @ part.t(), (0, width - len(part)))
                        if len(part) < width
                        else grad @ part.t()
                    )
                else:
                    dx[shift:, : len(part)].addmm_(grad[: len(grad) - shift], part.t())
        return dx.view(-1, ctx.channels), None, None, None


def _taps(weight: torch.Tensor, width: int):
    """Rows of a kernel that meet the same row of the matrix, and how many rows ahead that is."""
    return [(part, shift) for shift, part in enumerate(weight.split(width))]


def taps_first(weight: torch.Tensor) -> torch.Tensor:
    """A convolution's weight (O, C, K) as the matrix (K * C, O)."""
    return weight.permute(2, 1, 0).flatten(0, 1)


def convolve(x: torch.Tensor, conv: nn.Conv1d) -> torch.Tensor:
    """A strided convolution without padding, ``(L, C)`` -> ``(L / stride, O)``, L a multiple of the stride.

    After the last row, the input counts as zeros.
    """
    bias = None if conv.bias is None else conv.bias.to(x.dtype)
    return _StridedProduct.apply(x, prepared(conv.weight, x.dtype, taps_first), bias, conv.stride[0])


def linear(x: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    """``layer(x)``, ``(..., C)`` -> ``(..., O)``."""
    if _use_tf32 and x.is_cuda:
        weight = prepared(layer.weight, x.dtype, torch.Tensor.t)
        return _StridedProduct.apply(x.flatten(0, -2), weight, layer.bias, 1).unflatten(0, x.shape[:-1])
    return F.linear(x, layer.weight, layer.bias)


def round_weights(network: nn.Module) -> None:
    """Weights in bfloat16, but those of the first layer, which its GroupNorm multiplies in float64."""
    for module in network.modules():
        if not isinstance(module, nn.GroupNorm) and getattr(module, "in_channels", 0) != 1:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.bfloat16()
