"""CPU kernels: strips of rows (`strips.py`), and the threads that chase each other down them.

A strip needs only the last row of the strip above it, and leaves its own.  These rows, and two
anti-diagonals of each segment of a strip, each number a mantissa and an exponent, are all that the forward
pass keeps: 1/32 and 1/64 of the size of the cost matrix.  The backward pass takes a strip's segments from the
last to the first, computes the Z of each again and sweeps it from the last step to the first.

A strip can start as soon as the strip above is a few columns ahead.  Threads take strips from a common
counter, in an order in which every strip comes after the one that it depends on, so whoever waits, waits
for a strip that another thread is working on: no number of threads can deadlock, and pairs and strips
keep all of them busy.

A divergence's problems x-x and y-y have a symmetric Z.  Folded along the diagonal, a path that would step
across it walks along its mirror image instead: on the diagonal the upper neighbour counts twice, in place
of the left one, cells below the diagonal are forbidden, and half the work is gone.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch

from espnet_posinv.softdtw.cells import exponent_floor
from espnet_posinv.softdtw.cpu_strips import backward_strips, forward_strips
from espnet_posinv.softdtw.plan import GROUP, STATE, WIDE, judge, plan, plan_back
from espnet_posinv.softdtw.problem import Problem
from espnet_posinv.softdtw.reference import forward_backward

PARALLEL_CELLS = 1 << 15  # below, one thread is done before a second has woken up


def forward(problem: Problem, keep: bool) -> tuple[torch.Tensor, tuple]:
    """Losses (groups, B) float64; what `backward` needs: the table of pairs, what is kept of the strips."""
    one, floor, c = _arithmetic(problem.gamma, problem.costs[0].dtype)
    lengths = [np.ascontiguousarray(side.numpy()) for side in (problem.x_lengths, problem.y_lengths)]
    table, items, *rows, progress, extremes = plan(*lengths, len(problem.costs), one, floor)
    costs = _three([cost.detach().numpy() for cost in problem.costs])
    counter = np.zeros(1, np.int64)
    _run(
        forward_strips,
        (counter, items, table, costs, *rows, progress, extremes, problem.band, c, floor),
        problem,
    )
    values, wide = judge(table, extremes, *rows, problem.gamma)
    for p in np.flatnonzero(table[:, STATE] == WIDE) if wide else ():
        values[p], _ = _solve_wide(problem, *table[p, :2])
    values = torch.from_numpy(values.reshape(len(problem.costs), -1))
    return values, (table, items, *rows, wide) if keep else ()


def backward(problem: Problem, state, seeds: torch.Tensor, wanted=(True,)) -> list[torch.Tensor | None]:
    """seeds (groups, B) times E, for the groups that are wanted."""
    one, floor, c = _arithmetic(problem.gamma, problem.costs[0].dtype)
    table, items, *rows, wide = state
    if not all(wanted):
        items = items[np.asarray(wanted)[table[items[:, 0], GROUP]]]
    E = [torch.empty_like(cost) if w else None for cost, w in zip(problem.costs, wanted, strict=True)]
    factors = np.ascontiguousarray(seeds.detach().numpy().reshape(-1), one.dtype)
    passed, progress, longest = plan_back(table, factors)
    costs = _three([cost.detach().numpy() for cost in problem.costs])
    nothing = np.empty((0, 0, 0), one.dtype)
    grads = _three([nothing if e is None else e.numpy() for e in E])
    counter = np.zeros(1, np.int64)
    arguments = (
        counter, items[::-1], table, costs, grads, *rows, passed, factors, progress, problem.band, c, floor,
        longest,
    )  # fmt: skip
    _run(backward_strips, arguments, problem)
    for p in np.flatnonzero(table[:, STATE] == WIDE) if wide else ():
        g, b = table[p, :2]
        if wanted[g]:
            E[g][b] = _solve_wide(problem, g, b, float(seeds[g, b]))[1]
    return E


def power_constants(problem: Problem):
    """c = -log2(e) / gamma in two parts c_hi + c_lo, and the cost from which a cell counts as forbidden."""
    return _arithmetic(problem.gamma, problem.costs[0].dtype)[2]


@lru_cache
def _arithmetic(gamma: float, dtype: torch.dtype):
    """A mantissa, the exponent of Z = 0, and `power_constants`, in the types of this dtype's kernels."""
    real, integer = (np.float32, np.int32) if dtype == torch.float32 else (np.float64, np.int64)
    exact = Fraction(-1.4426950408889634) / Fraction(gamma)
    with np.errstate(over="ignore"):
        c_hi = real(float(exact)) if abs(exact) < 1e300 else real(-np.inf)
        c_lo = real(float(exact - Fraction(float(c_hi)))) if np.isfinite(c_hi) else real(0)
        c = c_hi, c_lo, real(2.0 ** (np.finfo(real).nmant - 1)) / -c_hi
    return real(1), integer(exponent_floor(8 * np.dtype(integer).itemsize)), c


def _solve_wide(problem: Problem, g: int, b: int, seed: float | None = None):
    """A pair whose exponents may overflow: float32 in float64 arithmetic, float64 by the definition."""
    cost = problem.costs[g][b : b + 1].detach()
    rows, columns = problem.lengths(g)
    if cost.dtype == torch.float32:
        wide = Problem([cost.double()], rows[b : b + 1], columns[b : b + 1], problem.gamma, problem.band)
        value, state = forward(wide, keep=seed is not None)
        if seed is None:
            return value.item(), None
        return value.item(), backward(wide, state, torch.full((1, 1), seed))[0][0].float()
    grad = np.empty(cost.shape[1:])
    sizes = int(rows[b]), int(columns[b])
    value = forward_backward(cost[0].numpy(), *sizes, problem.gamma, problem.band, seed or 0.0, grad)
    return value, torch.from_numpy(grad)


def _three(arrays: list) -> tuple:
    """Compiled code takes three groups; fewer are repeated (no strip refers to them)."""
    return tuple(arrays[min(g, len(arrays) - 1)] for g in range(3))


def _run(function, arguments: tuple, problem: Problem) -> None:
    """Call `function` on this thread and, for enough work, on the other threads that torch may use."""
    items = arguments[1]
    cells = sum(cost.numel() for cost in problem.costs)
    helpers = min(torch.get_num_threads(), len(items)) - 1 if cells >= PARALLEL_CELLS else 0
    others = [_pool(os.getpid(), helpers).submit(function, *arguments) for _ in range(helpers)]
    function(*arguments)
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process (a forked one has to start its own)."""
    return ThreadPoolExecutor(threads, thread_name_prefix="soft-dtw")
