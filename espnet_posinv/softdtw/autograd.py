"""Frames -> costs -> soft-DTW and back, as two autograd functions (the matrix products: `products.py`)."""

import warnings
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.autograd import Function

from espnet_posinv.softdtw.problem import Problem


class NoSecondDerivative(Function):
    """A gradient, unchanged, whose own derivative by anything that it was computed from raises.

    torch's `once_differentiable` asks only whether the incoming gradient carries a graph, which it does not
    after ``loss.sum()``: a gradient penalty would then be constant, without a word.
    """

    @staticmethod
    def forward(ctx, grad, *sources):
        return grad

    @staticmethod
    def backward(ctx, _):
        raise RuntimeError("soft-DTW: the second derivative is not implemented")


def _once(grad, *sources):
    """`NoSecondDerivative` where somebody asks for one (`create_graph`)."""
    return NoSecondDerivative.apply(grad, *sources) if torch.is_grad_enabled() else grad


def _save(ctx, state: tuple, *tensors):
    """Tensors where autograd frees them after use; the CPU's state, small arrays, on `ctx`: it is quicker."""
    plan = bool(state) and not isinstance(state[0], Tensor)
    ctx.plan = state if plan else ()
    ctx.save_for_backward(*tensors, *(() if plan else state))


class CostLoss(Function):
    """Costs (B, N, M) -> soft-DTW (B,)."""

    @staticmethod
    def forward(ctx, cost, x_lengths, y_lengths, gamma, band):
        problem = Problem([cost.contiguous()], x_lengths, y_lengths, gamma, band)
        values, state = problem.kernels().forward(problem, keep=ctx.needs_input_grad[0])
        _save(ctx, state, cost, x_lengths, y_lengths)
        ctx.gamma, ctx.band = gamma, band
        return values[0].to(cost.dtype)

    @staticmethod
    def backward(ctx, seed):
        cost, x_lengths, y_lengths, *state = ctx.saved_tensors
        with torch.no_grad():
            problem = Problem([cost.contiguous()], x_lengths, y_lengths, ctx.gamma, ctx.band)
            (grad,) = problem.kernels().backward(problem, ctx.plan or state, seed[None])
        return _once(grad, seed, cost), None, None, None, None


class FrameLoss(Function):
    """Frames x (B, N, D), y (B, M, D) -> soft-DTW or its divergence (B,)."""

    @staticmethod
    def forward(ctx, x, y, x_lengths, y_lengths, gamma, band, cosine, divergence):
        multiply = products_for(x)
        pairs = [(0, 1), (0, 0), (1, 1)] if divergence else [(0, 1)]
        with _alone(x):
            sides = [multiply.frame_factor(frames, cosine) for frames in (x, y)]
            costs = [multiply.frame_costs(sides[a], sides[b], cosine) for a, b in pairs]
        problem = Problem(costs, x_lengths, y_lengths, gamma, band)
        values, state = problem.kernels().forward(problem, keep=any(ctx.needs_input_grad[:2]))
        _save(ctx, state, x, y, *sides[0], *sides[1], x_lengths, y_lengths, *costs)
        ctx.options = gamma, band, cosine, len(costs), len(sides[0])
        loss = values[0] - 0.5 * (values[1] + values[2]) if divergence else values[0]
        return loss.to(torch.promote_types(x.dtype, torch.float32))

    @staticmethod
    def backward(ctx, seed):
        gamma, band, cosine, groups, count = ctx.options
        x, y, *rest = ctx.saved_tensors
        x_side, y_side = rest[:count], rest[count : 2 * count]
        x_lengths, y_lengths, *rest = rest[2 * count :]
        problem = Problem(rest[:groups], x_lengths, y_lengths, gamma, band)
        need_x, need_y = ctx.needs_input_grad[:2]
        multiply = products_for(x)
        with torch.no_grad(), _alone(x):
            seeds = torch.stack([seed] + [-0.5 * seed] * (groups - 1))
            wanted = [True, need_x, need_y][:groups]
            E = problem.kernels().backward(problem, ctx.plan or rest[groups:], seeds, wanted)
            both = multiply.alignment_factor(E[0], seed)
            x_parts, y_parts = [(both, False, y_side)], [(both, True, x_side)]
            # The folded T and E have the same symmetric part, and x stands on both sides of its own cost.
            for own, side, parts in zip(E[1:], (x_side, y_side), (x_parts, y_parts), strict=False):
                if own is not None:
                    parts.append((multiply.alignment_factor(own + own.mT, seed), False, side))
            grad_x = multiply.frame_gradient(x_parts, x, cosine) if need_x else None
            grad_y = multiply.frame_gradient(y_parts, y, cosine) if need_y else None
        grads = [g if g is None else _once(g, seed, x, y) for g in (grad_x, grad_y)]
        return *grads, None, None, None, None, None, None


def alignment(problem: Problem) -> Tensor:
    """E (B, N, M) of a problem of one group."""
    kernels = problem.kernels()
    cost = problem.costs[0].contiguous()
    problem = Problem([cost], problem.x_lengths, problem.y_lengths, problem.gamma, problem.band)
    _, state = kernels.forward(problem, keep=True)
    seeds = torch.ones(1, cost.shape[0], dtype=cost.dtype, device=cost.device)
    return kernels.backward(problem, state, seeds)[0]


def valid_frames(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros in the padding: a NaN that stands there must not reach a matrix product (0 times NaN is NaN)."""

    def clean(frames, lengths):
        padding = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]
        return frames.masked_fill(padding[..., None], 0.0)

    return clean(x, x_lengths), clean(y, y_lengths)


def frame_costs(x: Tensor, y: Tensor, cosine: bool) -> Tensor:
    """Costs (B, N, M) of frames x (B, N, D) and y (B, M, D); with `cosine` the frames must have norm 1."""
    multiply = products_for(x)
    with _alone(x):
        sides = [multiply.frame_factor(frames, cosine) for frames in (x, y)]
        return multiply.frame_costs(*sides, cosine)


def products_for(x: Tensor):
    """The module that multiplies frames on their device; a grid of CUDA has room for 65535 pairs."""
    narrow = x.dtype != torch.float64 and len(x) < 1 << 16
    if narrow and x.device.type == "cuda" and _has_tensor_cores(x.device.index):
        from espnet_posinv.softdtw import cuda_products as multiply
    else:
        from espnet_posinv.softdtw import products as multiply
    return multiply


@contextmanager
def _alone(x: Tensor):
    """On the device of x, which need not be the current one, and in the dtypes given: autocast is off."""
    with torch.cuda.device_of(x), torch.autocast(x.device.type, enabled=False):
        yield


@cache
def _has_tensor_cores(device: int) -> bool:
    """Whether the card has some for us, and Triton, which torch brings on Linux, can compile for it."""
    if find_spec("triton") is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        from espnet_posinv.softdtw.cuda_products import frame_factor

        with torch.cuda.device(device):
            frame_factor(torch.zeros(1, 1, 1, device="cuda"), False)
    except Exception as error:  # it wants a C compiler and Python's headers, and says so in many ways
        reason = f"{type(error).__name__}: {error}"
        text = f"soft-DTW: matrix products in float32, which take longer: Triton fails here, {reason}"
        warnings.warn(text, stacklevel=2)
        return False
    return True
