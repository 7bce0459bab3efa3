"""One strip of 64 rows: swept forwards for Z, and backwards for E (numba, without threads; see `cpu.py`).

Cells on an anti-diagonal do not depend on one another.  A strip is swept by steps: at step k, lane r
holds the cell of its row r and column k - r, so that one step is 64 cells side by side.  The costs
reach the lanes through transposed square tiles of skewed rows (`tiles.py`), and E leaves them the same way.
A tile of steps is computed as `cells.py` describes.

    The step of each cell:   column  0  1  2  3
                      row 0          0  1  2  3
                      row 1          1  2  3  4
                      row 2          2  3  4  5
"""

import numpy as np
from numba import njit

from espnet_posinv.softdtw.cell_sweeps import sweep_tile, sweep_tile_back, sweep_tile_with_weights
from espnet_posinv.softdtw.emitter import BELOW, ROWS, address, place
from espnet_posinv.softdtw.processor import publish, read_published, yield_processor
from espnet_posinv.softdtw.reference import row_interval
from espnet_posinv.softdtw.tiles import read_tile, write_tile

WRITTEN = 2  # tiles of E that go to memory at once: a page of it is then visited half as often
TILES = 16  # of a segment: what a tile leaves for the way back stays in the second-level cache


@njit(nogil=True)
def strip_window(s, n, m, band, symmetric, lo, hi):
    """First row, rows, first column and width of strip s; its rows use columns lo ... hi of this window."""
    i0 = s * ROWS
    h = min(ROWS, n - i0)
    for r in range(h):
        lo[r], hi[r] = row_interval(i0 + r, n, m, band, symmetric)
    c0 = lo[0]
    width = hi[h - 1] + 1 - c0
    for r in range(h):
        lo[r] -= c0
        hi[r] -= c0
    return i0, h, c0, width


@njit(nogil=True)
def steps_of_rows(window, h, lo, hi):
    """The steps at which each row of a strip has cells: window[r] = first, end; none below the strip."""
    window[:] = 2**30
    for r in range(h):
        window[r, 0], window[r, 1] = r + lo[r], r + hi[r] + 1


@njit(nogil=True)
def segments(width, h, lanes):
    """Segments of a strip: its tiles, TILES at a time."""
    return -(-(width + h - 1) // (TILES * lanes))


# What is called for each tile is inlined: a call would count references to its arrays, atomically.
@njit(nogil=True, inline="always")
def _has_cells(window, r0, k0, lanes):
    """Whether rows r0 and on, steps k0 and on, have some."""
    return window[r0, 0] < k0 + lanes and k0 < window[r0 + lanes - 1, 1]


@njit(nogil=True, inline="always")
def _part(window, r0, k0, lanes):
    """0 if rows r0 and on, steps k0 and on, are all cells, else where in `window` the rows' parts stand."""
    if window[r0 + lanes - 1, 0] <= k0 and k0 + lanes <= window[r0, 1]:
        return 0
    return address(window) + 2 * window.itemsize * r0


@njit(nogil=True, inline="always")
def _read(start, stride, S, k0, window, seen):
    """Costs of a tile, steps k0 and on, into S (steps, ROWS); +inf outside."""
    size, lanes = S.itemsize, 64 // S.itemsize
    for r0 in range(0, ROWS, lanes):
        if _has_cells(window, r0, k0, lanes):
            source, part = start + stride * r0 + size * k0, _part(window, r0, k0, lanes)
            read_tile(source, stride, address(S) + size * r0, part, k0, address(seen), S[0])
        else:
            for t in range(lanes):
                S[t * ROWS + r0 : t * ROWS + r0 + lanes] = np.inf


@njit(nogil=True, inline="always")
def _write(start, stride, E, k0, window, factor):
    """Steps k0 and on of E into their rows."""
    size, lanes = E.itemsize, 64 // E.itemsize
    for r0 in range(0, ROWS, lanes):
        for i in range(WRITTEN):
            k, source = k0 + i * lanes, address(E) + size * ROWS * i * lanes + size * r0
            if _has_cells(window, r0, k, lanes):
                target, part = start + stride * r0 + size * k, _part(window, r0, k, lanes)
                write_tile(source, target, stride, part, k, factor)


@njit(nogil=True, inline="always")
def _weights_of(weights, k0):
    """Address of the weights of the tile that begins with step k0."""
    size = weights.itemsize
    return address(weights) + k0 // (64 // size) % TILES * 2 * 64 * ROWS


@njit(nogil=True)
def sweep(segment, D, strip, symmetric, top, out, wait, tell, c, space, weights):
    """Z of a segment of a strip, from the row above (`top`) to its last row (`out`): mantissas and exponents.

    Rows are indexed by column + 1.  `wait` and `tell` are the addresses at which the strip above and this one
    publish how many columns they have finished.  `space` holds Z of the two steps before, and then of the
    segment's last two.  On the way to the gradient `weights` (TILES, steps, 2, ROWS) receives those of each
    tile, and `out` is known; else `weights` is empty.
    """
    S, window, m, e, _, _, seen = space
    i0, h, c0, width = strip
    (top_m, top_e), (out_m, out_e) = top, out
    size, keep = S.itemsize, len(weights) > 0
    lanes = 64 // size
    last = place(h - 1, S[0])
    steps, begin = width + h - 1, segment * TILES * lanes
    # One row down is one column to the left: a row's stride less one element skews a tile.
    start, stride = address(D) + size * (i0 * D.shape[1] + c0), size * (D.shape[1] - 1)
    S_at, m_at, e_at = address(S), address(m), address(e)
    for k0 in range(begin, min(begin + TILES * lanes, steps), lanes):
        needed = c0 + min(k0 + lanes, width)
        while read_published(wait) < needed:
            yield_processor()
        if symmetric and k0 == 0:
            m[1, 0], e[1, 0] = top_m[c0 + 1], top_e[c0 + 1]  # see `sweep_tile`: row 0 is on the diagonal
        count = min(lanes, steps - k0)
        top_m_at, top_e_at = address(top_m) + size * (c0 + k0), address(top_e) + size * (c0 + k0)
        ahead = start + size * (k0 + 2 * lanes) - 1
        _read(start, stride, S, k0, window, seen)
        mirror = k0 if symmetric else -(2**32)
        if keep:
            W_at = _weights_of(weights, k0)
            sweep_tile_with_weights(
                S_at, m_at, e_at, W_at, top_m_at, top_e_at, count, mirror, ahead, stride, c[0], c[1], c[2]
            )
        else:
            sweep_tile(
                S_at, m_at, e_at, 0, top_m_at, top_e_at, count, mirror, ahead, stride, c[0], c[1], c[2]
            )
            first, to = max(0, h - 1 - k0), c0 + k0 - (h - 1) + 1  # from this step on the last row has cells
            if first < count:
                out_m[to + first : to + count] = m[first + 2 : count + 2, last]
                out_e[to + first : to + count] = e[first + 2 : count + 2, last]
        m[0], m[1], e[0], e[1] = m[lanes], m[lanes + 1], e[lanes], e[lanes + 1]
        publish(tell, c0 + k0 + count - (h - 1))


@njit(nogil=True)
def sweep_back(segment, G, strip, below, above, factor, wait, tell, window, E, weights):
    """`factor` E of a segment of a strip into rows i0 ... i0 + h - 1 of G, columns c0 ... c0 + width - 1.

    `below` (by column + 1) is what the strip below hands to this one's last row, `above` receives what
    this one hands on.  `wait` and `tell` publish the first column that is finished, counted down.  `E` holds
    WRITTEN tiles and what goes from tile to tile.
    """
    i0, h, c0, width = strip
    size, like = G.itemsize, E[0]
    lanes = 64 // size
    tiles, rest = E[: WRITTEN * lanes * ROWS], E[WRITTEN * lanes * ROWS :]
    state, edge, out = rest[: 3 * (ROWS + BELOW)], rest[3 * (ROWS + BELOW) :][:lanes], rest[-lanes:]
    start, stride = address(G) + size * (i0 * G.shape[1] + c0), size * (G.shape[1] - 1)
    state_at, edge_at, out_at = address(state), address(edge), address(out)
    steps, begin = width + h - 1, segment * TILES * lanes
    if begin + TILES * lanes >= steps:
        state[:], edge[:] = 0, 0
        if h < ROWS:
            state[place(h - 1, like)] = 1  # the pair's last strip: all paths end at its last cell
    for k0 in range((min(begin + TILES * lanes, steps) - 1) // lanes * lanes, begin - 1, -lanes):
        count = min(lanes, steps - k0)
        if h == ROWS:
            needed = c0 + max(k0 - (h - 1), 0)
            while read_published(wait) > needed:
                yield_processor()
            for t in range(count):
                j = k0 + t - (h - 1)
                edge[t] = below[c0 + j + 1] if j >= 0 else 0
        nth = k0 // lanes % WRITTEN
        tile_at = address(tiles) + nth * lanes * ROWS * size
        W_at, ahead = _weights_of(weights, k0), start + size * (k0 - lanes)
        sweep_tile_back(state_at, W_at, edge_at, out_at, tile_at, count, ahead, stride, like)
        for t in range(min(count, width - k0)):
            above[c0 + k0 + t + 1] = out[t]
        if nth == 0:
            _write(start, stride, tiles, k0, window, factor)
        if k0 < width:
            publish(tell, c0 + k0)
    if segment == 0:
        above[c0] = state[2 * (ROWS + BELOW)]
        publish(tell, -1)
