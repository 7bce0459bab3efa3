"""One strip of 64 rows: swept forwards for Z, and backwards for E (numba, without threads; see `threads.py`).

Cells on an anti-diagonal do not depend on one another.  A strip is swept by steps: at step k, lane r holds
the cell of row r and column k - r, so a step computes 64 cells at once.  Costs are read into the lanes, and E
is written from them, through transposed squares of skewed rows (`tiles.py`).

    The step of each cell:   column  0  1  2  3
                      row 0          0  1  2  3
                      row 1          1  2  3  4
                      row 2          2  3  4  5
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from espnet_posinv.softdtw.cpu.emitter import ROWS, SIDE_BYTES, address, place
from espnet_posinv.softdtw.cpu.memory import TILES, WRITTEN
from espnet_posinv.softdtw.cpu.processor import publish, read_published, yield_processor
from espnet_posinv.softdtw.cpu.sweeps import BackTile, Tile, sweep_tile, sweep_tile_back
from espnet_posinv.softdtw.cpu.tiles import read_square, write_square
from espnet_posinv.softdtw.reference import row_interval

NOT_FOLDED = -(2**32)


class Row(NamedTuple):
    """Z of the row above a strip (index j + 1 is column j), and the address of its counter of columns."""

    mantissas: np.ndarray
    exponents: np.ndarray
    progress: int


class Edge(NamedTuple):
    """Gradients for the row above a strip (index j + 1 is column j), and the address of its counter."""

    parts: np.ndarray
    progress: int


class Strip(NamedTuple):
    """First row, rows, first column and columns of a strip, and whether its matrix is folded."""

    row: int
    rows: int
    column: int
    columns: int
    folded: bool


@njit(nogil=True)
def segments(steps, side):
    """Number of segments of `steps` steps."""
    return -(-steps // (TILES * side))


@njit(nogil=True)
def strip_of(matrix, number, band, cells):
    """Strip `number` of a matrix; fills `cells` with the columns of its rows."""
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
    """Fill `steps` with the steps at which each row has cells; none for rows below the strip."""
    for r in range(rows):
        steps[r, 0], steps[r, 1] = r + cells[r, 0], r + cells[r, 1] + 1
    steps[rows:] = 2**30


# Functions called for each tile are inlined: a call would count references to its arrays, atomically.
@njit(nogil=True, inline="always")
def _has_cells(steps, r0, k0, side):
    """Whether the square at row r0 and step k0 has cells."""
    return steps[r0, 0] < k0 + side and k0 < steps[r0 + side - 1, 1]


@njit(nogil=True, inline="always")
def _window(steps, r0, k0, side):
    """0 if the square at row r0 and step k0 has cells only, else the address of its rows in `steps`."""
    if steps[r0 + side - 1, 0] <= k0 and k0 + side <= steps[r0, 1]:
        return 0
    return address(steps) + 2 * steps.itemsize * r0


@njit(nogil=True, inline="always")
def _read(start, stride, k0, scratch):
    """Read the costs of the tile at step k0; +inf outside of the cells."""
    costs, size = scratch.costs, scratch.costs.itemsize
    side = SIDE_BYTES // size
    for r0 in range(0, ROWS, side):
        if _has_cells(scratch.steps, r0, k0, side):
            source, window = start + stride * r0 + size * k0, _window(scratch.steps, r0, k0, side)
            read_square(
                source, stride, address(costs) + size * r0, window, k0, address(scratch.seen), costs[0, 0]
            )
        else:
            for t in range(side):
                for r in range(r0, r0 + side):
                    costs[t, r] = np.inf


@njit(nogil=True, inline="always")
def _write(start, stride, k0, back, factor):
    """Write `factor` times the tiles of E at step k0 into their rows."""
    size = back.E.itemsize
    side = SIDE_BYTES // size
    for r0 in range(0, ROWS, side):
        for i in range(WRITTEN):
            k, source = k0 + i * side, address(back.E) + size * ROWS * i * side + size * r0
            if _has_cells(back.steps, r0, k, side):
                target, window = start + stride * r0 + size * k, _window(back.steps, r0, k, side)
                write_square(source, target, stride, window, k, factor)


@njit(nogil=True, inline="always")
def _skewed(matrix, strip):
    """Address of a strip's first cell; bytes from a lane to the next one: a row down, a column back."""
    size, width = matrix.itemsize, matrix.shape[1]
    return address(matrix) + size * (strip.row * width + strip.column), size * (width - 1)


@njit(nogil=True, inline="always")
def _weights_of(k0, side):
    """Offset in bytes of the weights of the tile at step k0."""
    return k0 // side % TILES * (2 * ROWS * SIDE_BYTES)


@njit(nogil=True)
def sweep(segment, costs, strip, above, own, scratch, arithmetic):
    """Compute Z of a segment of a strip from the row above (`above`), and write its last row into `own`.

    `scratch` holds Z of the two steps before the segment; afterwards, of the segment's last two steps.  In
    the backward pass the weights are kept instead of the last row, which is known.
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
            costs=address(scratch.costs),
            mantissas=address(m),
            exponents=address(e),
            weights=_weights_of(k0, side),
            above_mantissas=address(above.mantissas) + size * column,
            above_exponents=address(above.exponents) + size * column,
            steps=steps,
            diagonal=k0 if strip.folded else NOT_FOLDED,
            ahead=start + size * (k0 + 2 * side) - 1,
            stride=stride,
        )
        sweep_tile(tile, scratch.weights, arithmetic)
        if not back:
            to = column - (strip.rows - 1) + 1
            for t in range(max(0, strip.rows - 1 - k0), steps):  # the last row has cells from this step on
                own.mantissas[to + t], own.exponents[to + t] = m[t + 2, last], e[t + 2, last]
        publish(own.progress, column + steps - (strip.rows - 1))


@njit(nogil=True)
def sweep_back(segment, grads, strip, below, above, back, factor):
    """Compute `factor` E of a segment of a strip, with the gradients from `below`; fills `above`."""
    size, like = grads.itemsize, back.below[0]
    side = SIDE_BYTES // size
    all_steps, begin = strip.columns + strip.rows - 1, segment * TILES * side
    start, stride = _skewed(grads, strip)
    if begin + TILES * side >= all_steps:
        back.state[:], back.below[:] = 0, 0
        if strip.rows < ROWS:
            back.state[0, place(strip.rows - 1, like)] = 1  # the last strip of a matrix: all paths end here
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
            state=address(back.state),
            weights=address(back.weights) + _weights_of(k0, side),
            below=address(back.below),
            above=address(back.above),
            E=address(back.E) + nth * side * ROWS * size,
            steps=steps,
            ahead=start + size * (k0 - side),
            stride=stride,
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
