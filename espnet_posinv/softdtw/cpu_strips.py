"""What each thread of the CPU kernels does (`cpu.py`): take strips until none is left."""

import numpy as np
from numba import njit

from espnet_posinv.softdtw.emitter import BELOW, ROWS, address
from espnet_posinv.softdtw.plan import DONE, INVALID, SOURCES, STATE, record_size, state_part
from espnet_posinv.softdtw.processor import fetch_add, flush_denormals, publish, restore_denormals
from espnet_posinv.softdtw.strips import (
    TILES,
    WRITTEN,
    segments,
    steps_of_rows,
    strip_window,
    sweep,
    sweep_back,
)


@njit(nogil=True)
def _space(tops_m, tops_e, floor):
    """Scratch of one thread: a tile's costs, rows' steps, Z of a tile, rows' columns, bits of costs seen."""
    real, integer, lanes = tops_m.dtype, tops_e.dtype, 64 // tops_m.itemsize
    S, window = np.zeros(lanes * ROWS, real), np.zeros((ROWS, 2), integer)
    m, e = np.ones((lanes + 2, ROWS), real), np.full((lanes + 2, ROWS), floor, integer)
    lo, hi = np.zeros(ROWS, np.int64), np.zeros(ROWS, np.int64)
    return S, window, m, e, lo, hi, np.zeros(lanes, integer)


@njit(nogil=True)
def _extremes(seen, D, i0, h, c0, lo, hi, extreme):
    """Largest -d and largest finite d of a strip; a cost that makes the loss NaN counts as -d = inf."""
    extreme[:] = 0
    plain = True
    for bits, d in zip(seen, seen.view(extreme.dtype)):  # noqa: B905 (numba's zip takes no `strict`)
        extreme[1] = max(extreme[1], d)
        plain &= bits >= 0 and d < np.inf
    if plain:
        return
    # Somewhere there was a sign bit, an infinity or NaN: look at the costs one by one.
    extreme[1] = 0
    for r in range(h):
        for d in D[i0 + r, c0 + lo[r] : c0 + hi[r] + 1]:
            if not d > -np.inf:
                extreme[0] = np.inf
            elif d < np.inf:
                extreme[0] = max(extreme[0], -d)
                extreme[1] = max(extreme[1], d)


@njit(cache=True, nogil=True)
def forward_strips(
    counter, items, table, costs, tops_m, tops_e, progress, extremes, band, c, floor, _sources=SOURCES
):
    """Take strips until none is left: rows of Z at the strips' tops, and the extreme costs of each strip."""
    denormals = flush_denormals()
    space = _space(tops_m, tops_e, floor)
    window, Z_m, Z_e, lo, hi, seen = space[1:]
    lanes = 64 // tops_m.itemsize
    no_weights = np.zeros((0, 0), tops_m.dtype)
    while True:
        item = fetch_add(address(counter))
        if item >= len(items):
            restore_denormals(denormals)
            return
        p, s = items[item]
        g, b, n, m, top, first = table[p, 0], table[p, 1], table[p, 2], table[p, 3], table[p, 4], table[p, 5]
        D = costs[g][b]
        seen[:] = 0
        strip = i0, h, c0, width = strip_window(s, n, m, band, g > 0, lo, hi)
        size = record_size(m, lanes)
        at, end = top + s * size, top + (s + 1) * size
        above = tops_m[at:end], tops_e[at:end]
        own = tops_m[end : end + m + 1], tops_e[end : end + m + 1]
        told = address(progress) + 8 * (first + s)
        steps_of_rows(window, h, lo, hi)
        # Before the first step there is nothing.
        Z_m[:2], Z_e[:2] = 1, floor
        for segment in range(segments(width, h, lanes)):
            state_part(above[0], m, segment)[:] = Z_m[:2]
            state_part(above[1], m, segment)[:] = Z_e[:2]
            sweep(segment, D, strip, g > 0, above, own, told, told + 8, c, space, no_weights)
        publish(told + 8, m)
        _extremes(seen, D, i0, h, c0, lo, hi, extremes[first + s])


@njit(cache=True, nogil=True)
def backward_strips(
    counter,
    items,
    table,
    costs,
    grads,
    tops_m,
    tops_e,
    passed,
    seeds,
    progress,
    band,
    c,
    floor,
    longest,
    _sources=SOURCES,
):
    """Take strips from the last to the first: E of each into `grads`, what it passes to the strip above."""
    denormals = flush_denormals()
    space = _space(tops_m, tops_e, floor)
    window, Z_m, Z_e, lo, hi, seen = space[1:]
    window_back = np.zeros_like(window)
    lanes = 64 // tops_m.itemsize
    weights = np.empty((TILES, 2 * lanes * ROWS), tops_m.dtype)
    E = np.zeros(WRITTEN * lanes * ROWS + 3 * (ROWS + BELOW) + 2 * lanes, tops_m.dtype)
    last_row = np.empty(longest + 1, tops_m.dtype), np.empty(longest + 1, tops_e.dtype)
    free = np.array([2**62, 0])
    while True:
        item = fetch_add(address(counter))
        if item >= len(items):
            restore_denormals(denormals)
            return
        p, s = items[item]
        g, b, n, m, top, first = table[p, 0], table[p, 1], table[p, 2], table[p, 3], table[p, 4], table[p, 5]
        D, G = costs[g][b], grads[g][b]
        strip = i0, h, c0, width = strip_window(s, n, m, band, g > 0, lo, hi)
        told = address(progress) + 8 * (first + s)
        if table[p, STATE] == DONE:
            size = record_size(m, lanes)
            at, end = top + s * size, top + (s + 1) * size
            above = tops_m[at:end], tops_e[at:end]
            steps_of_rows(window, h, lo, hi)
            if width < G.shape[1]:
                G[i0 : i0 + h, :c0] = 0
                G[i0 : i0 + h, c0 + width :] = 0
            # Where the strip has columns but the row has no cells, 0 is written.
            lo[:], hi[:] = 0, width - 1
            steps_of_rows(window_back, h, lo, hi)
            for segment in range(segments(width, h, lanes) - 1, -1, -1):
                seen[:] = 0
                Z_m[:2] = state_part(above[0], m, segment)
                Z_e[:2] = state_part(above[1], m, segment)
                # `free`: the row above is all there, and nobody waits for this one.
                sweep(
                    segment, D, strip, g > 0, above, last_row, address(free), address(free) + 8, c,
                    space, weights,
                )  # fmt: skip
                sweep_back(
                    segment, G, strip, passed[first + s + 1], passed[first + s], seeds[p], told + 8, told,
                    window_back, E, weights,
                )  # fmt: skip
        else:
            for r in range(h):
                G[i0 + r] = 0
                if table[p, STATE] == INVALID:
                    G[i0 + r, c0 + lo[r] : c0 + hi[r] + 1] = np.nan
        if i0 + h == n:
            G[n:] = 0
