"""The loops of a call's threads: take strips until none is left (no deadlock: see `kernels.py`)."""

import numpy as np
from numba import njit

from espnet_posinv.softdtw.compiled import compiled
from espnet_posinv.softdtw.cpu.emitter import ROWS, SIDE_BYTES, address
from espnet_posinv.softdtw.cpu.plan import ALL, matrix_of, row_above, state_before
from espnet_posinv.softdtw.cpu.processor import fetch_add, flush_denormals, publish, restore_denormals
from espnet_posinv.softdtw.cpu.strips import Edge, Row, segments, steps_of_rows, strip_of, sweep, sweep_back
from espnet_posinv.softdtw.exponents import DONE, INVALID, judge

_judge = njit(nogil=True, error_model="numpy")(judge)


@njit(nogil=True)
def _copy(source, target):
    """Copy two steps."""
    for i in range(2):
        for r in range(ROWS):
            target[i, r] = source[i, r]


@njit(nogil=True)
def _extreme_costs(scratch, D, strip, extreme):
    """Largest -d and largest finite d of a strip; a cost that makes the loss NaN counts as -d = inf."""
    extreme[:] = 0
    plain = True
    seen = scratch.seen.view(extreme.dtype)
    for i in range(len(seen)):
        extreme[1] = max(extreme[1], seen[i])
        plain &= scratch.seen[i] >= 0 and seen[i] < np.inf
    if plain:
        return
    # There is a negative cost, an infinity or NaN: check the costs one by one.
    extreme[1] = 0
    for r in range(strip.rows):
        for j in range(scratch.cells[r, 0], scratch.cells[r, 1] + 1):
            d = D[strip.row + r, strip.column + j]
            if not d > -np.inf:
                extreme[0] = np.inf
            elif d < np.inf:
                extreme[0] = max(extreme[0], -d)
                extreme[1] = max(extreme[1], d)


@compiled()
def forward_strips(scratch, plan, costs, arithmetic):
    """Compute the kept rows of Z, and the extreme costs of each strip."""
    denormals = flush_denormals()
    side = SIDE_BYTES // scratch.costs.itemsize
    while True:
        taken = fetch_add(address(plan.taken))
        if taken >= len(plan.strips):
            restore_denormals(denormals)
            return
        matrix = matrix_of(plan.table, plan.strips[taken, 0])
        number = plan.strips[taken, 1]
        D = costs[matrix.group][matrix.pair]
        strip = strip_of(matrix, number, plan.band, scratch.cells)
        steps_of_rows(scratch.steps, scratch.cells, strip.rows)
        counter = address(plan.progress) + 8 * (matrix.first_strip + number)
        above = row_above(plan.kept, matrix, number, counter)
        own = row_above(plan.kept, matrix, number + 1, counter + 8)
        # Z = 0 before the first step.
        scratch.mantissas[:2], scratch.exponents[:2], scratch.seen[:] = 1, arithmetic.floor, 0
        for segment in range(segments(strip.columns + strip.rows - 1, side)):
            _copy(scratch.mantissas, state_before(above.mantissas, matrix.columns, segment))
            _copy(scratch.exponents, state_before(above.exponents, matrix.columns, segment))
            sweep(segment, D, strip, above, own, scratch, arithmetic)
        publish(own.progress, matrix.columns)
        _extreme_costs(scratch, D, strip, plan.extremes[matrix.first_strip + number])


@compiled()
def backward_strips(scratch, back, plan, passed, matrices, arithmetic):
    """Compute E of each strip, from the last to the first, and the gradients for the strip above.

    `matrices`: costs and gradients.
    """
    denormals = flush_denormals()
    side = SIDE_BYTES // scratch.costs.itemsize
    # When Z is computed again, the row above is complete, and no thread waits for this strip's row.
    free = np.array([ALL, 0])
    costs, grads = matrices
    while True:
        taken = fetch_add(address(plan.taken))
        if taken >= len(plan.strips):
            restore_denormals(denormals)
            return
        index, number = plan.strips[taken, 0], plan.strips[taken, 1]
        matrix = matrix_of(plan.table, index)
        D, G = costs[matrix.group][matrix.pair], grads[matrix.group][matrix.pair]
        strip = strip_of(matrix, number, plan.band, scratch.cells)
        steps_of_rows(scratch.steps, scratch.cells, strip.rows)
        end = strip.column + strip.columns
        if plan.states[index] == DONE:
            at = matrix.first_strip + number
            counter = address(passed.progress) + 8 * at
            above, below = Edge(passed.parts[at], counter), Edge(passed.parts[at + 1], counter + 8)
            z_above = row_above(plan.kept, matrix, number, address(free))
            z_own = Row(z_above.mantissas, z_above.exponents, address(free) + 8)
            for r in range(strip.row, strip.row + strip.rows):
                G[r, : strip.column], G[r, end:] = 0, 0
            # 0 is written where the strip has columns but the row has no cells.
            scratch.cells[:, 0], scratch.cells[:, 1] = 0, strip.columns - 1
            steps_of_rows(back.steps, scratch.cells, strip.rows)
            for segment in range(segments(strip.columns + strip.rows - 1, side) - 1, -1, -1):
                scratch.seen[:] = 0
                _copy(state_before(z_above.mantissas, matrix.columns, segment), scratch.mantissas)
                _copy(state_before(z_above.exponents, matrix.columns, segment), scratch.exponents)
                sweep(segment, D, strip, z_above, z_own, scratch, arithmetic)
                sweep_back(segment, G, strip, below, above, back, passed.factors[index])
        else:
            for r in range(strip.rows):
                first, last = scratch.cells[r]
                G[strip.row + r] = 0
                if plan.states[index] == INVALID:
                    G[strip.row + r, strip.column + first : strip.column + last + 1] = np.nan
        if strip.row + strip.rows == matrix.rows:
            G[matrix.rows :] = 0


@compiled(error_model="numpy")
def judge_all(plan, gamma, limits):
    """Losses (matrices,); fills the plan's states."""
    losses = np.empty(len(plan.table))
    for index in range(len(plan.table)):
        matrix = matrix_of(plan.table, index)
        strips = -(-matrix.rows // ROWS)
        negative = positive = 0.0
        for extreme in plan.extremes[matrix.first_strip : matrix.first_strip + strips]:
            negative, positive = max(negative, extreme[0]), max(positive, extreme[1])
        at = matrix.top + strips * matrix.record + matrix.columns
        last = plan.kept.mantissas[at], plan.kept.exponents[at]
        steps = matrix.rows + matrix.columns
        plan.states[index], losses[index] = _judge(last, (negative, positive), steps, gamma, limits)
    return losses
