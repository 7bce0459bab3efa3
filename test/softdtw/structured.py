"""Structured costs at random, and a float64 reference for many of them at once.

Smooth or uniform costs hide what ties, plateaus, walls and jumps of many bits show.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

KINDS = ("uniform", "levels", "pieces", "jumps", "walk", "free", "wall", "forbidden")


@dataclass
class Case:
    """One pair: costs (n, m) in float64, as the dtype under test holds them."""

    kind: str
    cost: np.ndarray
    gamma: float
    band: int | None
    dtype: torch.dtype


def costs(kind: str, n: int, m: int, gamma: float, random: np.random.Generator) -> np.ndarray:
    """Costs (n, m) of one kind, at a scale between 1e-6 and 1e8."""
    bits = gamma * math.log(2)
    scale = min(10 ** random.uniform(-6, 8), gamma * 2.0**25)  # beyond, the reference is no better
    if kind == "uniform":
        return scale * random.random((n, m))
    if kind == "levels":  # each cell one of few
        return random.choice(scale * random.random(random.integers(2, 6)), (n, m))
    if kind == "pieces":  # squared distances of two piecewise constant sequences
        levels = np.sqrt(random.uniform(0, 64) * bits) * np.arange(random.integers(2, 6))

        def sequence(length):
            changes = (random.random(length) < random.uniform(0.02, 0.3)) * np.arange(length)
            return levels[random.integers(0, len(levels), length)[np.maximum.accumulate(changes)]]

        return np.square(sequence(n)[:, None] - sequence(m))
    if kind == "jumps":  # mostly zero
        return np.where(random.random((n, m)) < random.uniform(0.01, 0.6), gamma * random.uniform(1, 64), 0.0)
    if kind == "walk":
        walk = np.cumsum(random.standard_normal((n, m)), random.integers(0, 2))
        return (walk - (walk.min() if random.random() < 0.5 else 0)) * gamma * 10 ** random.uniform(-2, 2)
    if kind == "free":  # bands of columns or rows that cost nothing
        cost = np.full((n, m), gamma * random.uniform(1, 64))
        side = cost.T if random.random() < 0.5 else cost
        begin, end = sorted(random.integers(0, len(side) + 1, 2))
        side[begin:end] = 0
        return cost
    cost = np.full((n, m), gamma * random.uniform(20, 90))
    if kind == "forbidden":
        cost = scale * random.random((n, m))
        cost[random.random((n, m)) < random.uniform(0.05, 0.5)] = np.inf
    if kind == "wall" or random.random() < 0.9:
        for cell in path(n, m, random):
            cost[cell] = gamma * random.random()
    return cost


def path(n: int, m: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Cells of a random path from corner to corner."""
    cells = [(0, 0)]
    while cells[-1] != (n - 1, m - 1):
        down, right = ((1, 1), (1, 0), (0, 1))[random.integers(0, 3)]
        cells.append((min(cells[-1][0] + down, n - 1), min(cells[-1][1] + right, m - 1)))
    return cells


def cases(seed: int, count: int, largest: int = 80) -> list[Case]:
    """Random cases, of sizes around those of squares and strips."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        kind = KINDS[random.integers(len(KINDS))]
        n, m = (int(random.integers(1, largest + 1)) for _ in range(2))
        gamma = float(10 ** random.uniform(-4, 3))
        dtype = torch.float32 if random.random() < 0.6 else torch.float64
        band = int(random.integers(0, max(n, m))) if random.random() < 0.3 else None
        cost = costs(kind, n, m, gamma, random)
        cost = torch.from_numpy(cost).to(dtype).double().numpy()
        made.append(Case(kind, cost, gamma, band, dtype))
    return made


def reference(batch: list[Case]) -> tuple[np.ndarray, np.ndarray]:
    """Losses (B,) and E (B, N, M) by the definition, anti-diagonal by anti-diagonal for all cases together.

    In 80-bit floats, where there are some: float64 loses |R| / gamma 2^-53 of each weight.
    """
    N, M = (max(case.cost.shape[k] for case in batch) for k in range(2))
    B, real = len(batch), np.longdouble
    D = np.full((B, N, M), np.inf, real)
    gamma = np.array([case.gamma for case in batch], real)
    n, m = (np.array([case.cost.shape[k] for case in batch]) for k in range(2))
    i, j = np.arange(N)[:, None], np.arange(M)
    for b, case in enumerate(batch):
        D[b, : n[b], : m[b]] = case.cost / gamma[b]
        if case.band is not None:
            reach = max(2 * case.band, 1) * (max(n[b], m[b]) - 1)
            D[b][2 * abs(i * (m[b] - 1) - j * (n[b] - 1)) > reach] = np.inf
    R = np.full((B, N + 1, M + 1), np.inf, real)
    R[:, 0, 0] = 0
    W = np.zeros((B, N + 1, M + 1, 3), real)  # to the cell at [i, j], from up-left, up and left
    with np.errstate(invalid="ignore"):
        for k in range(N + M - 1):
            rows = np.arange(max(0, k - M + 1), min(N, k + 1))
            columns = k - rows
            before = np.stack([R[:, rows, columns], R[:, rows, columns + 1], R[:, rows + 1, columns]], -1)
            low = before.min(-1)
            shares = np.where(np.isinf(before), 0, np.exp(np.minimum(low[..., None] - before, 0)))
            total = shares.sum(-1)
            value = D[:, rows, columns] + low - np.log(np.maximum(total, 1))
            inside = np.isfinite(value)
            R[:, rows + 1, columns + 1] = np.where(inside, value, np.inf)
            W[:, rows, columns] = np.where(inside[..., None], shares / np.maximum(total, 1)[..., None], 0)
    E = np.zeros((B, N + 1, M + 1), real)
    loss = R[np.arange(B), n, m]
    ends = np.isfinite(loss)
    for k in range(N + M - 2, -1, -1):
        rows = np.arange(max(0, k - M + 1), min(N, k + 1))
        columns = k - rows
        E[:, rows, columns] = (
            E[:, rows + 1, columns + 1] * W[:, rows + 1, columns + 1, 0]
            + E[:, rows + 1, columns] * W[:, rows + 1, columns, 1]
            + E[:, rows, columns + 1] * W[:, rows, columns + 1, 2]
        )
        last = np.flatnonzero((n + m - 2 == k) & ends)
        E[last, n[last] - 1, m[last] - 1] = 1
    return np.asarray(loss * gamma, np.float64), np.asarray(E[:, :N, :M], np.float64)
