"""The plan of a call, shared by its threads: table of matrices, order of strips, kept numbers."""

from typing import NamedTuple

import numpy as np
from numba import njit

from espnet_posinv.softdtw.cpu.emitter import ROWS, SIDE_BYTES
from espnet_posinv.softdtw.cpu.strips import Row, segments
from espnet_posinv.softdtw.exponents import Arithmetic
from espnet_posinv.softdtw.problem import Problem

GROUP, PAIR, ROWS_USED, COLUMNS, TOP, RECORD, FIRST_STRIP, ENTRIES = range(8)  # columns of the table
ALL = 2**62  # finished columns of a row that never has to be waited for


class Numbers(NamedTuple):
    """Z in two arrays of equal shape."""

    mantissas: np.ndarray
    exponents: np.ndarray


class Plan(NamedTuple):
    """The work of one call, and its results for the backward pass.

    table: int64 (matrices, ENTRIES).  states: int64 (matrices,), see `exponents`.
    strips: int64 (strips, 2), matrix and number of each, in an order in which every strip comes after the one
        that it depends on.  taken: int64 (1,), number of strips taken by threads.
    kept: a record for each strip, and one after the last: Z of the row above, then for each segment Z of the
        two steps before it (`row_above`, `state_before`).
    progress: int64 (strips,), finished columns of the row above.
    extremes: (strips, 2), the largest -D and the largest finite D.
    """

    table: np.ndarray
    states: np.ndarray
    strips: np.ndarray
    taken: np.ndarray
    kept: Numbers
    progress: np.ndarray
    extremes: np.ndarray
    band: int


class Matrix(NamedTuple):
    """An entry of the table: group and pair, rows and columns in use, begin and size of its records."""

    group: int
    pair: int
    rows: int
    columns: int
    top: int
    record: int
    first_strip: int


@njit(nogil=True)
def matrix_of(table, index):
    return Matrix(
        table[index, GROUP],
        table[index, PAIR],
        table[index, ROWS_USED],
        table[index, COLUMNS],
        table[index, TOP],
        table[index, RECORD],
        table[index, FIRST_STRIP],
    )


@njit(nogil=True)
def row_above(kept, matrix, strip, progress):
    """Z of the row above a strip; index j + 1 is column j."""
    begin = matrix.top + strip * matrix.record
    end = begin + matrix.record
    return Row(kept.mantissas[begin:end], kept.exponents[begin:end], progress)


@njit(nogil=True)
def state_before(numbers, columns, segment):
    """The two steps before a segment, in a record of mantissas or of exponents."""
    begin = columns + 1 + 2 * ROWS * segment
    return numbers[begin : begin + 2 * ROWS].reshape(2, ROWS)


def strips_of(rows: np.ndarray) -> np.ndarray:
    return -(-rows // ROWS)


def make_plan(problem: Problem, arithmetic: Arithmetic) -> Plan:
    """The plan of a call."""
    groups, batch = len(problem.costs), len(problem.x_lengths)
    lengths = [problem.lengths(group) for group in range(groups)]
    rows, columns = (np.concatenate([sides[k].numpy() for sides in lengths]) for k in range(2))
    strips = strips_of(rows)
    records = (
        columns + 1 + 2 * ROWS * segments.py_func(columns + ROWS - 1, SIDE_BYTES // arithmetic.one.itemsize)
    )
    tops, first_strips = (np.cumsum((strips + 1) * size) for size in (records, 1))
    table = np.empty((groups * batch, ENTRIES), np.int64)
    table[:, GROUP], table[:, PAIR] = np.divmod(np.arange(groups * batch), max(batch, 1))
    table[:, ROWS_USED], table[:, COLUMNS], table[:, RECORD] = rows, columns, records
    table[:, TOP], table[:, FIRST_STRIP] = tops - (strips + 1) * records, first_strips - strips - 1
    number, matrix = np.nonzero(np.arange(strips.max(initial=0))[:, None] < strips)
    # A strip reads the row above it up to the end of its last tile; the numbers after the row are not used.
    size = tops[-1] + 2 * ROWS if len(tops) else 0
    kept = Numbers(np.full(size, arithmetic.one), np.full(size, arithmetic.floor))
    kept.exponents[table[:, TOP]] = 0  # the corner before the first cell: Z = 1
    progress = np.zeros(strips.sum() + len(strips), np.int64)
    progress[table[:, FIRST_STRIP]] = ALL
    extremes = np.zeros((len(progress), 2), arithmetic.one.dtype)
    taken, states = np.zeros(1, np.int64), np.zeros(len(table), np.int64)
    return Plan(
        table=table,
        states=states,
        strips=np.stack([matrix, number], 1),
        taken=taken,
        kept=kept,
        progress=progress,
        extremes=extremes,
        band=problem.band,
    )


class PassedUp(NamedTuple):
    """Gradients that each strip passes to the row above in the backward pass.

    parts: (strips, columns + 1); index j + 1 is column j.  factors: (matrices,), the loss's incoming
    gradients. progress: int64 (strips,), the first finished column.
    """

    parts: np.ndarray
    factors: np.ndarray
    progress: np.ndarray


def passed_up(plan: Plan, factors: np.ndarray) -> PassedUp:
    """The initial state: the row below the last strips holds 1 at the end of each path."""
    rows = len(plan.progress)
    parts = np.zeros((rows, plan.table[:, COLUMNS].max(initial=0) + 1), factors.dtype)
    progress = np.full(rows, ALL)
    below_last = plan.table[:, FIRST_STRIP] + strips_of(plan.table[:, ROWS_USED])
    parts[below_last, plan.table[:, COLUMNS]] = 1
    progress[below_last] = -1
    return PassedUp(parts, factors, progress)
