"""The soft-DTW divergence as in the published code of the method's authors (SCORE, LASER).

One utterance at a time; log-domain loops over the cells on the CPU, in numba.
"""

import numba
import numpy as np
import torch
import torch.nn.functional as F

from espnet_posinv.perturb.speed import change_speed


@numba.njit(cache=True)
def cells_forward(cost, gamma):
    n, m = cost.shape
    r = np.full((n + 2, m + 2), np.inf)
    r[0, 0] = 0.0
    for j in range(1, m + 1):
        for i in range(1, n + 1):
            a, b, c = -r[i - 1, j - 1] / gamma, -r[i - 1, j] / gamma, -r[i, j - 1] / gamma
            top = max(a, b, c)
            r[i, j] = cost[i - 1, j - 1] - gamma * (
                np.log(np.exp(a - top) + np.exp(b - top) + np.exp(c - top)) + top
            )
    return r


@numba.njit(cache=True)
def cells_backward(cost, r, gamma):
    n, m = cost.shape
    d = np.zeros((n + 2, m + 2))
    d[1 : n + 1, 1 : m + 1] = cost
    e = np.zeros((n + 2, m + 2))
    e[n + 1, m + 1] = 1.0
    r[:, m + 1] = -np.inf
    r[n + 1, :] = -np.inf
    r[n + 1, m + 1] = r[n, m]
    for j in range(m, 0, -1):
        for i in range(n, 0, -1):
            below = np.exp((r[i + 1, j] - r[i, j] - d[i + 1, j]) / gamma)
            right = np.exp((r[i, j + 1] - r[i, j] - d[i, j + 1]) / gamma)
            both = np.exp((r[i + 1, j + 1] - r[i, j] - d[i + 1, j + 1]) / gamma)
            e[i, j] = e[i + 1, j] * below + e[i, j + 1] * right + e[i + 1, j + 1] * both
    return e[1 : n + 1, 1 : m + 1]


class CellByCell(torch.autograd.Function):
    """Soft-DTW of one cost matrix, on the CPU wherever the matrix is."""

    @staticmethod
    def forward(ctx, cost, gamma):
        array = cost.detach().cpu().double().numpy()
        table = cells_forward(array, gamma)
        ctx.saved = array, table, gamma
        return cost.new_tensor(table[-2, -2])

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.from_numpy(cells_backward(*ctx.saved)).to(grad), None


def one_by_one(encoder, ref, inf, speeds, gamma=0.1):
    """The divergence of one utterance, as a batch of one."""

    def sdtw(x, y):
        return CellByCell.apply(torch.cdist(x, y).square()[0], gamma)

    with torch.no_grad():
        moved, lengths = change_speed(ref, torch.tensor([ref.shape[1]]), speeds)
        y = F.normalize(encoder(moved, lengths.to(ref.device))[0], dim=-1)
    x = F.normalize(encoder(inf)[0], dim=-1)
    return (sdtw(x, y) - sdtw(x, x) / 2 - sdtw(y, y) / 2) / (x.shape[1] + y.shape[1])
