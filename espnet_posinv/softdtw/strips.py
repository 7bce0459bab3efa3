"""One strip of 64 rows: swept forwards for Z, and backwards for E (numba, without threads; see `cpu.py`).

Cells on an anti-diagonal do not depend on one another.  A strip is swept by steps: at step k, lane r
holds the cell of its row r and column k - r, so that one step is 64 cells side by side.  The costs
reach the lanes through transposed square tiles of skewed rows (`tiles.py`), and E leaves them the same way.

    The step of each cell:   column  0  1  2  3
                      row 0          0  1  2  3
                      row 1          1  2  3  4
                      row 2          2  3  4  5
"""

import numpy as np
from numba import njit

from espnet_posinv.softdtw.cells import (
    BEFORE,
    PITCH,
    ROWS,
    sweep_tile,
    sweep_tile_back,
    sweep_tile_with_weights,
)
from espnet_posinv.softdtw.processor import publish, read_published, yield_processor
from espnet_posinv.softdtw.reference import row_interval
from espnet_posinv.softdtw.tiles import read_tile, write_tile


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
def _first_and_end(window, h, lo, hi):
    """The steps at which each row of a strip has cells: window[r] = first, end; none below the strip."""
    window[:] = 2**30
    for r in range(h):
        window[r, 0], window[r, 1] = r + lo[r], r + hi[r] + 1


@njit(nogil=True)
def _part(window, r0, k0, lanes):
    """Rows r0 and on, steps k0 and on: -1 if none is a cell, 0 if all are, else their part of `window`."""
    last = r0 + lanes - 1
    if k0 + lanes <= window[r0, 0] or window[last, 1] <= k0:
        return -1
    if window[last, 0] <= k0 and k0 + lanes <= window[r0, 1]:
        return 0
    return window.ctypes.data + 2 * window.itemsize * r0


@njit(nogil=True)
def _fill(D, i0, c0, k0, S, window, seen):
    """Costs of one tile of steps, k0 and on, into S (steps, 64); +inf where there is no cell."""
    like, size = S[0], S.itemsize
    lanes = 64 // size
    for r0 in range(0, ROWS, lanes):
        part = _part(window, r0, k0, lanes)
        if part < 0:
            for t in range(lanes):
                S[t * ROWS + r0 : t * ROWS + r0 + lanes] = np.inf
            continue
        # One row down is one column to the left: a row's stride less one element skews the tile.
        source = D.ctypes.data + size * ((i0 + r0) * D.shape[1] + c0 + k0 - r0)
        read_tile(
            source, size * (D.shape[1] - 1), S.ctypes.data + size * r0, size * ROWS,
            part, k0, seen.ctypes.data, like,
        )  # fmt: skip


@njit(nogil=True)
def sweep(D, i0, h, c0, width, symmetric, top, out, wait, tell, c, space, W):
    """Z of one strip, from the row above it (`top`) to its own last row (`out`), each (mantissas, exponents).

    Rows are indexed by column + 1.  `wait` and `tell` are the addresses at which the strip above and this one
    publish how many columns they have finished.  W, unless empty, receives the weights (steps, 2, 64).
    """
    S, window, m, e, lo, hi, seen = space
    _first_and_end(window, h, lo, hi)
    top_m, top_e = top
    out_m, out_e = out
    c_hi, c_lo, limit = c
    size = S.itemsize
    lanes = 64 // size
    floor = e[0, 0]
    # Before the first step there is nothing, but for the corner above and left of lane 0.
    m[:2], e[:2] = 1, floor
    steps = width + h - 1
    for k0 in range(0, steps, lanes):
        needed = c0 + min(k0 + lanes, width)
        while read_published(wait) < needed:
            yield_processor()
        if k0 == 0:
            m[0, BEFORE - 1], e[0, BEFORE - 1] = top_m[c0], top_e[c0]
        _fill(D, i0, c0, k0, S, window, seen)
        count = min(lanes, steps - k0)
        for t in range(count):
            inside = k0 + t < width
            m[t + 1, BEFORE - 1] = top_m[c0 + k0 + t + 1] if inside else 1
            e[t + 1, BEFORE - 1] = top_e[c0 + k0 + t + 1] if inside else floor
        S_at, m_at, e_at = S.ctypes.data, m.ctypes.data, e.ctypes.data
        W_at = W.ctypes.data + 2 * ROWS * size * k0
        mirror = k0 if symmetric else -(2**32)
        # The last byte of the next tile's row 0; what comes before lies in a line that this tile has touched.
        ahead = D.ctypes.data + size * (i0 * D.shape[1] + c0 + k0 + 2 * lanes) - 1
        ahead_stride = size * (D.shape[1] - 1)
        if len(W) > 0:
            sweep_tile_with_weights(
                S_at, m_at, e_at, W_at, count, mirror, ahead, ahead_stride, c_hi, c_lo, limit
            )
        else:
            sweep_tile(S_at, m_at, e_at, W_at, count, mirror, ahead, ahead_stride, c_hi, c_lo, limit)
        last = BEFORE + h - 1
        for t in range(max(0, h - 1 - k0), count):
            j = c0 + k0 + t - (h - 1)
            out_m[j + 1], out_e[j + 1] = m[t + 2, last], e[t + 2, last]
        publish(tell, c0 + k0 + count - (h - 1))
        for r in range(BEFORE - 1, PITCH):
            m[0, r], m[1, r] = m[lanes, r], m[lanes + 1, r]
            e[0, r], e[1, r] = e[lanes, r], e[lanes + 1, r]


@njit(nogil=True)
def sweep_back(G, i0, h, c0, width, below, above, seed, wait, tell, window, E, W):
    """E of one strip into rows i0 ... i0 + h - 1 of G, columns c0 ... c0 + width - 1.

    `below` (by column + 1) is what the strip below hands to this one's last row, `above` receives what
    this one hands on.  `wait` and `tell` publish the first column that is finished, counted down.  A
    strip of fewer rows is the last one and starts from `seed` instead.
    """
    size = G.itemsize
    lanes = 64 // size
    like = E[0]
    tile, state = E[: lanes * ROWS], E[lanes * ROWS : (lanes + 3) * ROWS]
    edge, out = E[(lanes + 3) * ROWS : (lanes + 3) * ROWS + lanes], E[(lanes + 3) * ROWS + lanes :]
    steps = width + h - 1
    for r in range(h):
        window[r, 0], window[r, 1] = r, r + width
    state[:] = 0
    state[h - 1] = seed
    edge[:] = 0
    first = (steps - 1) // lanes * lanes
    for k0 in range(first, -1, -lanes):
        count = min(lanes, steps - k0)
        if h == ROWS:
            needed = c0 + max(k0 - (h - 1), 0)
            while read_published(wait) > needed:
                yield_processor()
            for t in range(count):
                j = k0 + t - (h - 1)
                edge[t] = below[c0 + j + 1] if j >= 0 else 0
        W_at = W.ctypes.data + 2 * ROWS * size * k0
        ahead = G.ctypes.data + size * (i0 * G.shape[1] + c0 + k0 - lanes)
        sweep_tile_back(
            state.ctypes.data, W_at, edge.ctypes.data, out.ctypes.data, tile.ctypes.data, count,
            ahead, size * (G.shape[1] - 1), like,
        )  # fmt: skip
        for t in range(min(count, width - k0)):
            above[c0 + k0 + t + 1] = out[t]
        _empty(G, i0, h, c0, k0, window, tile)
        if k0 < width:
            publish(tell, c0 + k0)
    above[c0] = state[2 * ROWS]
    publish(tell, -1)


@njit(nogil=True)
def _empty(G, i0, h, c0, k0, window, E):
    """Steps k0 and on of E into their rows of G."""
    like, size = E[0], E.itemsize
    lanes = 64 // size
    for r0 in range(0, h, lanes):
        part = _part(window, r0, k0, lanes)
        if part >= 0:
            target = G.ctypes.data + size * ((i0 + r0) * G.shape[1] + c0 + k0 - r0)
            write_tile(
                E.ctypes.data + size * r0, size * ROWS, target, size * (G.shape[1] - 1), part, k0, like
            )
