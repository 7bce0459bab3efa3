"""The entry of the CPU backend: forward and backward pass of a problem, by strips (`strips.py`) and threads.

A strip needs only the last row of the strip above it.  The forward pass keeps these rows and the two steps
before each segment of a strip, each number as mantissa and exponent: 1/32 and 1/64 of the size of the cost
matrix. The backward pass takes a strip's segments from the last to the first; it computes the Z of each
again, now with the weights, and sweeps it from the last step to the first.

A strip can start as soon as the strip above is a few columns ahead.  Threads take strips from a common
counter, in an order in which every strip comes after the one that it depends on.  So a waiting thread waits
for a strip on which another thread is working, and no number of threads can deadlock.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from espnet_posinv.softdtw.cpu.memory import back_scratch, scratch, segment_weights
from espnet_posinv.softdtw.cpu.plan import GROUP, PAIR, Plan, make_plan, passed_up
from espnet_posinv.softdtw.cpu.threads import backward_strips, forward_strips, judge_all
from espnet_posinv.softdtw.exponents import WIDE, arithmetic, limits
from espnet_posinv.softdtw.problem import Problem
from espnet_posinv.softdtw.reference import forward_backward

PARALLEL_CELLS = 1 << 15  # for smaller problems, one thread is faster than starting a second


def forward(problem: Problem, keep: bool) -> tuple[torch.Tensor, tuple]:
    """Losses (groups, B) float64, and the state for `backward`."""
    constants = arithmetic(problem.gamma, problem.costs[0].dtype == torch.float64)
    plan = make_plan(problem, constants)
    arguments = plan, _three(problem.costs), constants
    _run(forward_strips, lambda: (scratch(constants, ()), *arguments), _helpers(problem, plan))
    losses = judge_all(plan, problem.gamma, limits(8 * constants.floor.itemsize))
    for index in np.flatnonzero(plan.states == WIDE):
        losses[index] = _solve_wide(problem, *plan.table[index, [GROUP, PAIR]])[0]
    return torch.from_numpy(losses.reshape(len(problem.costs), -1)), (plan,) if keep else ()


def backward(problem: Problem, state, seeds: torch.Tensor, wanted=(True,)) -> list[torch.Tensor | None]:
    """seeds (groups, B) times E, for the wanted groups."""
    constants = arithmetic(problem.gamma, problem.costs[0].dtype == torch.float64)
    (plan,) = state
    strips = plan.strips[np.asarray(wanted)[plan.table[plan.strips[:, 0], GROUP]]][::-1]
    plan = plan._replace(strips=np.ascontiguousarray(strips), taken=np.zeros_like(plan.taken))
    passed = passed_up(plan, np.ascontiguousarray(seeds.detach().numpy().reshape(-1), constants.one.dtype))
    E = [torch.empty_like(cost) if w else None for cost, w in zip(problem.costs, wanted, strict=True)]
    nothing = problem.costs[0].new_empty(0, 0, 0)
    matrices = _three(problem.costs), _three([nothing if e is None else e for e in E])

    def arguments():
        weights = segment_weights(constants)
        return scratch(constants, weights), back_scratch(weights), plan, passed, matrices, constants

    _run(backward_strips, arguments, _helpers(problem, plan))
    for index in np.flatnonzero(plan.states == WIDE):
        g, b = plan.table[index, [GROUP, PAIR]]
        if wanted[g]:
            E[g][b] = _solve_wide(problem, g, b, float(seeds[g, b]))[1]
    return E


def _solve_wide(problem: Problem, g: int, b: int, seed: float | None = None):
    """Solve a matrix whose exponents may overflow: float32 in float64, float64 by the definition."""
    cost = problem.costs[g][b : b + 1].detach()
    rows, columns = problem.lengths(g)
    if cost.dtype == torch.float32:
        wide = Problem([cost.double()], rows[b : b + 1], columns[b : b + 1], problem.gamma, problem.band)
        loss, state = forward(wide, keep=seed is not None)
        if seed is None:
            return loss.item(), None
        return loss.item(), backward(wide, state, torch.full((1, 1), seed))[0][0].float()
    grad = np.empty(cost.shape[1:])
    sizes = int(rows[b]), int(columns[b])
    loss = forward_backward(cost[0].numpy(), *sizes, problem.gamma, problem.band, seed or 0.0, grad)
    return loss, torch.from_numpy(grad)


def _three(tensors: list) -> tuple:
    """Compiled code takes three groups: the last one is repeated if there are fewer (and is not used)."""
    arrays = [tensor.detach().numpy() for tensor in tensors]
    return tuple(arrays[min(g, len(arrays) - 1)] for g in range(3))


def _helpers(problem: Problem, plan: Plan) -> int:
    """Number of threads to use besides this one."""
    cells = sum(cost.numel() for cost in problem.costs)
    return min(torch.get_num_threads(), len(plan.strips)) - 1 if cells >= PARALLEL_CELLS else 0


def _run(function, arguments, helpers: int) -> None:
    """Call `function` on this thread and `helpers` others; `arguments()` makes the arguments of each."""
    others = [_pool(os.getpid(), helpers).submit(function, *arguments()) for _ in range(helpers)]
    function(*arguments())
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads of this process; a forked process starts its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="soft-dtw")
