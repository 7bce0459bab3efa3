"""Frames -> costs, and alignments -> gradients, by torch's matrix products (on tensor cores: `cuda/`).

The squared Euclidean cost of all pairs of frames is |x_i|^2 + |y_j|^2 - 2 x_i.y_j, one matrix product;
nothing of size N M D is ever made.  With E = d loss / dD, its gradient is another one:

    d loss / dx_i = 2 sum_j E[i,j] (x_i - y_j) = 2 (sum_j E[i,j]) x_i - 2 (E y)_i .

The cosine cost of frames of norm 1 is 1 - x_i.y_j, its gradient -(E y)_i.
"""

import torch
from torch import Tensor


def frame_factor(x: Tensor, cosine: bool) -> tuple[Tensor, ...]:
    """Inputs of the products: frames (B, N, D), in float32 or wider, and |x_i|^2 (B, N).

    The squares are summed here: squares of rounded norms would add errors to the costs.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return (x, x.new_full((1, 1), 0.5) if cosine else x.square().sum(-1))


def frame_costs(x: tuple[Tensor, ...], y: tuple[Tensor, ...], cosine: bool) -> Tensor:
    """Costs (B, N, M) of two factors."""
    (x, x_norms), (y, y_norms) = x, y
    sums = x_norms[..., None] + y_norms[:, None]
    product = (
        torch.baddbmm if cosine else Tensor.baddbmm_
    )  # in place only if `sums` has the shape of the result
    return product(sums, x, y.mT, alpha=-1 if cosine else -2).clamp_(min=0)


def alignment_factor(E: Tensor, seed: Tensor) -> tuple[Tensor, ...]:
    """Inputs of the products: seed (B,) times alignments, E (B, N, M)."""
    return (E,)


def frame_gradient(parts: list[tuple], x: Tensor, cosine: bool) -> Tensor:
    """sum_j E[i,j] d cost(x_i, y_j) / dx_i, the module's second equation, summed over parts.

    parts: (E, transposed, y), E and y factors; if transposed, E[j,i] is used for E[i,j].
    x: the frames (B, N, D), whose dtype the gradient has.
    """
    E = [E.mT if transposed else E for (E,), transposed, _ in parts]
    wide = x.to(E[0].dtype)
    grad = torch.zeros_like(wide) if cosine else wide * (2 * sum(e.sum(-1, keepdim=True) for e in E))
    for e, (_, _, (y, _)) in zip(E, parts, strict=True):
        grad.baddbmm_(e, y, alpha=-1 if cosine else -2)
    return grad.to(x.dtype)
