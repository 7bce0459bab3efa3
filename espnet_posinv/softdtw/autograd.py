"""Frames -> costs -> soft-DTW and back, by matrix products, as two autograd functions.

The squared Euclidean cost of all pairs of frames is |x_i|^2 + |y_j|^2 - 2 x_i.y_j, one matrix product;
nothing of size N M D is ever made.  With E = d loss / dD, its gradient is another one:

    d loss / dx_i = 2 sum_j E[i,j] (x_i - y_j) = 2 (sum_j E[i,j]) x_i - 2 (E y)_i .
"""

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


class CostLoss(Function):
    """Costs (B, N, M) -> soft-DTW (B,)."""

    @staticmethod
    def forward(ctx, cost, x_lengths, y_lengths, gamma, band):
        problem = Problem([cost.contiguous()], x_lengths, y_lengths, gamma, band)
        values, state = problem.kernels().forward(problem, keep=ctx.needs_input_grad[0])
        ctx.save_for_backward(cost, x_lengths, y_lengths, *state)
        ctx.gamma, ctx.band = gamma, band
        return values[0].to(cost.dtype)

    @staticmethod
    def backward(ctx, seed):
        cost, x_lengths, y_lengths, *state = ctx.saved_tensors
        with torch.no_grad():
            problem = Problem([cost.contiguous()], x_lengths, y_lengths, ctx.gamma, ctx.band)
            (grad,) = problem.kernels().backward(problem, state, seed[None].contiguous())
        return NoSecondDerivative.apply(grad, seed, cost), None, None, None, None


class FrameLoss(Function):
    """Frames x (B, N, D), y (B, M, D) -> soft-DTW or its divergence (B,)."""

    @staticmethod
    def forward(ctx, x, y, x_lengths, y_lengths, gamma, band, cosine, divergence):
        pairs = [(x, y), (x, x), (y, y)] if divergence else [(x, y)]
        norms = [None if cosine else squared_norms(frames) for frames in (x, y)]
        sides = [norms, [norms[0]] * 2, [norms[1]] * 2]
        costs = [frame_costs(a, b, cosine, *n) for (a, b), n in zip(pairs, sides, strict=False)]
        problem = Problem(costs, x_lengths, y_lengths, gamma, band)
        values, state = problem.kernels().forward(problem, keep=any(ctx.needs_input_grad[:2]))
        ctx.save_for_backward(x, y, x_lengths, y_lengths, *costs, *state)
        ctx.options = gamma, band, cosine, len(costs)
        loss = values[0] - 0.5 * (values[1] + values[2]) if divergence else values[0]
        return loss.to(x.dtype)

    @staticmethod
    def backward(ctx, seed):
        gamma, band, cosine, groups = ctx.options
        x, y, x_lengths, y_lengths, *rest = ctx.saved_tensors
        problem = Problem(rest[:groups], x_lengths, y_lengths, gamma, band)
        need_x, need_y = ctx.needs_input_grad[:2]
        with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
            seeds = torch.stack([seed] + [-0.5 * seed] * (groups - 1))
            wanted = [True, need_x, need_y][:groups]
            E = problem.kernels().backward(problem, rest[groups:], seeds, wanted)
            grad_x = grad_y = None
            # The folded T and E have the same symmetric part, and x stands on both sides of the cost.
            if need_x:
                own = [(E[1] + E[1].mT, x)] if groups == 3 else []
                grad_x = _frame_gradient([(E[0], y), *own], x, cosine)
            if need_y:
                own = [(E[2] + E[2].mT, y)] if groups == 3 else []
                grad_y = _frame_gradient([(E[0].mT, x), *own], y, cosine)
        grads = [g if g is None else NoSecondDerivative.apply(g, seed, x, y) for g in (grad_x, grad_y)]
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


def squared_norms(x: Tensor) -> Tensor:
    """|x_i|^2 (B, N); not the square of a rounded root, whose error would be that of the costs."""
    return x.square().sum(-1)


def frame_costs(x: Tensor, y: Tensor, cosine: bool, x_norms=None, y_norms=None) -> Tensor:
    """Costs (B, N, M) of frames x (B, N, D) and y (B, M, D); with `cosine` the frames must have norm 1.

    `x_norms`, `y_norms`: their squared norms, where they are known.
    """
    with torch.autocast(x.device.type, enabled=False):
        if cosine:
            one = x.new_ones(1, 1, 1)
            return torch.baddbmm(one, x, y.mT, alpha=-1).clamp_(min=0)
        x_norms = squared_norms(x) if x_norms is None else x_norms
        y_norms = squared_norms(y) if y_norms is None else y_norms
        return (x_norms[..., None] + y_norms[:, None]).baddbmm_(x, y.mT, alpha=-2).clamp_(min=0)


def _frame_gradient(parts: list[tuple[Tensor, Tensor]], x: Tensor, cosine: bool) -> Tensor:
    """sum_j E[i,j] d cost(x_i, y_j) / dx_i, the module's second equation, summed over parts (E, y)."""
    if cosine:
        grad, alpha = torch.zeros_like(x), -1
    else:
        grad, alpha = x * (2 * sum(E.sum(-1, keepdim=True) for E, _ in parts)), -2
    for E, y in parts:
        grad.baddbmm_(E, y, alpha=alpha)
    return grad
