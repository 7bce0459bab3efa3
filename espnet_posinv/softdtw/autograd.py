"""Frames -> costs -> soft-DTW and their gradients, as autograd functions (matrix products: `products.py`)."""

from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from espnet_posinv.softdtw.backends import kernels_for, products_for
from espnet_posinv.softdtw.problem import Problem


class Settings(NamedTuple):
    """How costs are made of frames, and soft-DTW of costs; `band` -1: none."""

    gamma: float
    band: int
    cosine: bool
    divergence: bool = False


class NoSecondDerivative(Function):
    """Passes a gradient on unchanged; raises when the gradient itself is differentiated.

    torch's `once_differentiable` only checks whether the incoming gradient carries a graph, which it does not
    after ``loss.sum()``: a gradient penalty would then silently be constant.
    """

    @staticmethod
    def forward(ctx, grad, *sources):
        return grad

    @staticmethod
    def backward(ctx, _):
        raise RuntimeError("soft-DTW: the second derivative is not implemented")


def _once(grad, *sources):
    """`NoSecondDerivative` if a graph of the gradient is wanted (`create_graph`)."""
    return NoSecondDerivative.apply(grad, *sources) if torch.is_grad_enabled() else grad


def _save(ctx, state: tuple, tensors: tuple):
    """Keep tensors with autograd, which frees them after use, and the CPU's small arrays on `ctx`: faster."""
    plan = bool(state) and not isinstance(state[0], Tensor)
    ctx.plan = state if plan else ()
    ctx.save_for_backward(*tensors, *(() if plan else state))


class CostLoss(Function):
    """Costs (B, N, M) -> soft-DTW (B,)."""

    @staticmethod
    def forward(ctx, cost, x_lengths, y_lengths, gamma, band):
        problem = Problem([cost.contiguous()], x_lengths, y_lengths, gamma, band)
        values, state = kernels_for(problem).forward(problem, keep=ctx.needs_input_grad[0])
        _save(ctx, state, (cost, x_lengths, y_lengths))
        ctx.gamma, ctx.band = gamma, band
        return values[0].to(cost.dtype)

    @staticmethod
    def backward(ctx, seed):
        cost, x_lengths, y_lengths, *state = ctx.saved_tensors
        with torch.no_grad():
            problem = Problem([cost.contiguous()], x_lengths, y_lengths, ctx.gamma, ctx.band)
            (grad,) = kernels_for(problem).backward(problem, ctx.plan or state, seed[None])
        return _once(grad, seed, cost), None, None, None, None


class FrameLoss(Function):
    """Frames x (B, N, D), y (B, M, D) -> soft-DTW or its divergence (B,)."""

    @staticmethod
    def forward(ctx, x, y, x_lengths, y_lengths, settings: Settings):
        multiply, cosine, divergence = products_for(x), settings.cosine, settings.divergence
        groups = [(0, 1), (0, 0), (1, 1)] if divergence else [(0, 1)]
        with _alone(x):
            sides = [multiply.frame_factor(frames, cosine) for frames in (x, y)]
            costs = [multiply.frame_costs(sides[a], sides[b], cosine) for a, b in groups]
        problem = Problem(costs, x_lengths, y_lengths, settings.gamma, settings.band)
        values, state = kernels_for(problem).forward(problem, keep=any(ctx.needs_input_grad[:2]))
        _save(ctx, state, (x, y, *sides[0], *sides[1], x_lengths, y_lengths, *costs))
        ctx.settings, ctx.counts = settings, (len(costs), len(sides[0]))
        loss = values[0] - 0.5 * (values[1] + values[2]) if divergence else values[0]
        return loss.to(torch.promote_types(x.dtype, torch.float32))

    @staticmethod
    def backward(ctx, seed):
        (groups, count), cosine = ctx.counts, ctx.settings.cosine
        x, y, *rest = ctx.saved_tensors
        x_side, y_side = rest[:count], rest[count : 2 * count]
        x_lengths, y_lengths, *rest = rest[2 * count :]
        problem = Problem(rest[:groups], x_lengths, y_lengths, ctx.settings.gamma, ctx.settings.band)
        need_x, need_y = ctx.needs_input_grad[:2]
        multiply = products_for(x)
        with torch.no_grad(), _alone(x):
            seeds = torch.stack([seed] + [-0.5 * seed] * (groups - 1))
            wanted = [True, need_x, need_y][:groups]
            E = kernels_for(problem).backward(problem, ctx.plan or rest[groups:], seeds, wanted)
            both = multiply.alignment_factor(E[0], seed)
            x_parts, y_parts = [(both, False, y_side)], [(both, True, x_side)]
            # The folded T and E have the same symmetric part, and both arguments of this cost are x.
            for own, side, parts in zip(E[1:], (x_side, y_side), (x_parts, y_parts), strict=False):
                if own is not None:
                    parts.append((multiply.alignment_factor(own + own.mT, seed), False, side))
            grad_x = multiply.frame_gradient(x_parts, x, cosine) if need_x else None
            grad_y = multiply.frame_gradient(y_parts, y, cosine) if need_y else None
        grads = [g if g is None else _once(g, seed, x, y) for g in (grad_x, grad_y)]
        return *grads, None, None, None


def alignment(problem: Problem) -> Tensor:
    """E (B, N, M) of a problem of one group."""
    kernels = kernels_for(problem)
    cost = problem.costs[0].contiguous()
    problem = Problem([cost], problem.x_lengths, problem.y_lengths, problem.gamma, problem.band)
    _, state = kernels.forward(problem, keep=True)
    seeds = torch.ones(1, cost.shape[0], dtype=cost.dtype, device=cost.device)
    return kernels.backward(problem, state, seeds)[0]


def valid_frames(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros in the padding: a NaN there must not reach a matrix product (0 times NaN is NaN)."""

    def clean(frames, lengths):
        padding = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]
        return frames.masked_fill(padding[..., None], 0.0)

    return clean(x, x_lengths), clean(y, y_lengths)


def centred(x: Tensor, y: Tensor, y_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """x and y minus the mean frame of y; the padding of y must be 0.

    Squared distances and their gradients do not change, but |x|^2 + |y|^2 - 2 x.y does not lose the digits
    that an offset common to all frames would cost.
    """
    with torch.no_grad():
        dtype = torch.promote_types(y.dtype, torch.float32)
        mean = y.sum(1, keepdim=True, dtype=dtype) / y_lengths[:, None, None]
    return x - mean, y - mean


def unit_frames(x: Tensor) -> Tensor:
    """x / |x|, in float32 or wider; a frame of zeros stays 0 and gets no gradient.

    The same holds for a norm below 1e-18, whose square is no normal float32.  NaN where |x|^2 overflows.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norm.masked_fill(norm.isinf(), torch.nan).masked_fill(norm < 1e-18, torch.inf)


def frame_costs(x: Tensor, y: Tensor, cosine: bool) -> Tensor:
    """Costs (B, N, M) of frames x (B, N, D) and y (B, M, D); with `cosine` the frames must have norm 1."""
    multiply = products_for(x)
    with _alone(x):
        sides = [multiply.frame_factor(frames, cosine) for frames in (x, y)]
        return multiply.frame_costs(*sides, cosine)


@contextmanager
def _alone(x: Tensor):
    """On the device of x, even if another is current, and without autocast."""
    with torch.cuda.device_of(x), torch.autocast(x.device.type, enabled=False):
        yield
