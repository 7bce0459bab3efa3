"""One strip of 64 rows: swept forwards for Z, and backwards for E (numba, without threads; see `threads.py`).

Cells on an anti-diagonal do not depend on one another.  A strip is swept by steps: at step k, lane r holds
the cell of its row r and column k - r, so that one step is 64 cells side by side.  The costs reach the lanes
through transposed squares of skewed rows (`tiles.py`), and E leaves them the same way.

    The step of each cell:   column  0  1  2  3
                      row 0          0  1  2  3
                      row 1          1  2  3  4
                      row 2          2  3  4  5
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from espnet_posinv.softdtw.cpu.emitter import ROWS, SIDE_BYTES, address, place
from espnet_posinv.softdtw.cpu.processor import publish, read_published, yield_processor
from espnet_posinv.softdtw.cpu.sweeps import BackTile, Tile, sweep_tile, sweep_tile_back
from espnet_posinv.softdtw.cpu.tiles import read_square, write_square
from espnet_posinv.softdtw.reference import row_interval

WRITTEN = 2  # tiles of E that go to memory at once: a page of it is then visited half as often
TILES = 16  # of a segment: the weights that they leave for the way back stay in the second-level cache
NOT_FOLDED = -(2**32)


class Row(NamedTuple):
    """Z of the row above a strip, by column + 1, and the address of how many columns are finished."""

    mantissas: np.ndarray
    exponents: np.ndarray
    progress: int


class Edge(NamedTuple):
    """What a strip hands to the row above, by column + 1, and the address of the first finished column."""

    parts: np.ndarray
    progress: int


class Strip(NamedTuple):
    """First row, rows, first column and columns of a strip, and whether its matrix is folded."""

    row: int
    rows: int
    column: int
    columns: int
    folded: bool


class Scratch(NamedTuple):
    """A thread's own memory for sweeps.

    costs: (steps, ROWS) of a tile.  mantissas, exponents: Z (2 + steps, ROWS), behind the two steps before.
    cells: int64 (ROWS, 2), first and last column of each row, from the strip's first one.
    steps: (ROWS, 2), the steps at which each row has cells, first and end.
    seen: (SIDE_BYTES / size,), the largest bits among the costs (`tiles.read_square`).
    weights: () forwards; on the way back (TILES, steps, 2, ROWS), the gradient's, of a segment.
    """

    costs: np.ndarray
    mantissas: np.ndarray
    exponents: np.ndarray
    cells: np.ndarray
    steps: np.ndarray
    seen: np.ndarray
    weights: np.ndarray | tuple


class BackScratch(NamedTuple):
    """A thread's own memory for the way back.

    weights: those of `Scratch`.  E: (WRITTEN, steps, ROWS).  state, below, above: see `sweeps.BackTile`.
    steps: as in `Scratch`, but all columns of the strip: where a row has no cells, 0 is written.
    """

    weights: np.ndarray
    E: np.ndarray
    state: np.ndarray
    below: np.ndarray
    above: np.ndarray
    steps: np.ndarray


@njit(nogil=True)
def segments(steps, side):
    """Segments of so many steps."""
    return -(-steps // (TILES * side))


@njit(nogil=True)
def strip_of(matrix, number, band, cells):
    """Strip `number` of a matrix; `cells` receives the columns of its rows."""
    row, folded = number * ROWS, matrix.group > 0
    rows = min(ROWS, matrix.rows - row)
    for r in range(rows):
        cells[r, 0], cells[r, 1] = row_interval(row + r, matrix.rows, matrix.columns, band, folded)
    column = cells[0, 0]
    columns = cells[rows - 1, 1] + 1 - column
    for r in range(rows):
        cells[r, 0] -= column
        cells[r, 1] -= column
    return Strip(row, rows, column, columns, folded)


@njit(nogil=True)
def steps_of_rows(steps, cells, rows):
    """The steps at which each row has cells; none below the strip."""
    for r in range(rows):
        steps[r, 0], steps[r, 1] = r + cells[r, 0], r + cells[r, 1] + 1
    steps[rows:] = 2**30


# What is called for each tile is inlined: a call would count references to its arrays, atomically.
@njit(nogil=True, inline="always")
def _has_cells(steps, r0, k0, side):
    """Whether rows r0 and on, steps k0 and on, have some."""
    return steps[r0, 0] < k0 + side and k0 < steps[r0 + side - 1, 1]


@njit(nogil=True, inline="always")
def _part(steps, r0, k0, side):
    """0 if rows r0 and on, steps k0 and on, are all cells, else where in `steps` these rows stand."""
    if steps[r0 + side - 1, 0] <= k0 and k0 + side <= steps[r0, 1]:
        return 0
    return address(steps) + 2 * steps.itemsize * r0


@njit(nogil=True, inline="always")
def _read(start, stride, k0, scratch):
    """Costs of a tile, steps k0 and on; +inf outside."""
    costs, size = scratch.costs, scratch.costs.itemsize
    side = SIDE_BYTES // size
    for r0 in range(0, ROWS, side):
        if _has_cells(scratch.steps, r0, k0, side):
            source, part = start + stride * r0 + size * k0, _part(scratch.steps, r0, k0, side)
            read_square(
                source, stride, address(costs) + size * r0, part, k0, address(scratch.seen), costs[0, 0]
            )
        else:
            for t in range(side):
                for r in range(r0, r0 + side):
                    costs[t, r] = np.inf


@njit(nogil=True, inline="always")
def _write(start, stride, k0, back, factor):
    """`factor` times the tiles of E, steps k0 and on, into their rows."""
    size = back.E.itemsize
    side = SIDE_BYTES // size
    for r0 in range(0, ROWS, side):
        for i in range(WRITTEN):
            k, source = k0 + i * side, address(back.E) + size * ROWS * i * side + size * r0
            if _has_cells(back.steps, r0, k, side):
                target, part = start + stride * r0 + size * k, _part(back.steps, r0, k, side)
                write_square(source, target, stride, part, k, factor)


@njit(nogil=True, inline="always")
def _skewed(matrix, strip):
    """Address of a strip's first cell; bytes from a lane to the next one, a row down and a column back."""
    size, width = matrix.itemsize, matrix.shape[1]
    return address(matrix) + size * (strip.row * width + strip.column), size * (width - 1)


@njit(nogil=True, inline="always")
def _weights_of(k0, side):
    """Bytes before the weights of the tile of step k0."""
    return k0 // side % TILES * (2 * ROWS * SIDE_BYTES)


@njit(nogil=True)
def sweep(segment, costs, strip, above, own, scratch, arithmetic):
    """Z of a segment of a strip, from the row above to its own last row, as far as the strip below sees it.

    `scratch` holds Z of the two steps before, and then of the segment's last two.  On the way back the
    gradient's weights are kept instead of the last row, which is known.
    """
    m, e = scratch.mantissas, scratch.exponents
    size, back = costs.itemsize, len(scratch.weights) > 0
    side = SIDE_BYTES // size
    last = place(strip.rows - 1, arithmetic.one)
    all_steps, begin = strip.columns + strip.rows - 1, segment * TILES * side
    start, stride = _skewed(costs, strip)
    for k0 in range(begin, min(begin + TILES * side, all_steps), side):
        needed = strip.column + min(k0 + side, strip.columns)
        while read_published(above.progress) < needed:
            yield_processor()
        if strip.folded and k0 == 0:
            # See `sweep_tile`: row 0 is on the diagonal.
            m[1, 0], e[1, 0] = above.mantissas[strip.column + 1], above.exponents[strip.column + 1]
        steps, column = min(side, all_steps - k0), strip.column + k0
        _read(start, stride, k0, scratch)
        tile = Tile(
            address(scratch.costs),
            address(m),
            address(e),
            _weights_of(k0, side),
            address(above.mantissas) + size * column,
            address(above.exponents) + size * column,
            steps,
            k0 if strip.folded else NOT_FOLDED,
            start + size * (k0 + 2 * side) - 1,
            stride,
        )
        sweep_tile(tile, scratch.weights, arithmetic)
        if not back:
            to = column - (strip.rows - 1) + 1
            for t in range(max(0, strip.rows - 1 - k0), steps):  # from this step on the last row has cells
                own.mantissas[to + t], own.exponents[to + t] = m[t + 2, last], e[t + 2, last]
        publish(own.progress, column + steps - (strip.rows - 1))


@njit(nogil=True)
def sweep_back(segment, grads, strip, below, above, back, factor):
    """`factor` E of a segment of a strip; `below` is handed up to its last row, `above` receives its own."""
    size, like = grads.itemsize, back.below[0]
    side = SIDE_BYTES // size
    all_steps, begin = strip.columns + strip.rows - 1, segment * TILES * side
    start, stride = _skewed(grads, strip)
    if begin + TILES * side >= all_steps:
        back.state[:], back.below[:] = 0, 0
        if strip.rows < ROWS:
            back.state[0, place(strip.rows - 1, like)] = 1  # a matrix's last strip: all paths end at its end
    for k0 in range((min(begin + TILES * side, all_steps) - 1) // side * side, begin - 1, -side):
        steps = min(side, all_steps - k0)
        if strip.rows == ROWS:
            needed = strip.column + max(k0 - (ROWS - 1), 0)
            while read_published(below.progress) > needed:
                yield_processor()
            for t in range(steps):
                column = k0 + t - (ROWS - 1)
                back.below[t] = below.parts[strip.column + column + 1] if column >= 0 else 0
        nth = k0 // side % WRITTEN
        tile = BackTile(
            address(back.state),
            address(back.weights) + _weights_of(k0, side),
            address(back.below),
            address(back.above),
            address(back.E) + nth * side * ROWS * size,
            steps,
            start + size * (k0 - side),
            stride,
        )
        sweep_tile_back(tile, like)
        for t in range(min(steps, strip.columns - k0)):
            above.parts[strip.column + k0 + t + 1] = back.above[t]
        if nth == 0:
            _write(start, stride, k0, back, factor)
        if k0 < strip.columns:
            publish(above.progress, strip.column + k0)
    if segment == 0:
        above.parts[strip.column] = back.state[2, 0]
        publish(above.progress, -1)
