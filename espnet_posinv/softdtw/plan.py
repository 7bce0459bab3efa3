"""The table of pairs that CPU kernels work from, what is kept for each strip, and what came of each pair."""

import zlib
from pathlib import Path

import numpy as np
from numba import njit

from espnet_posinv.softdtw.emitter import ROWS
from espnet_posinv.softdtw.strips import segments

DONE, UNREACHABLE, INVALID, WIDE = range(4)  # a pair's state; WIDE: its exponents may not fit these integers
GROUP, PAIR, ROWS_USED, COLUMNS_USED, TOP, FIRST_STRIP, STATE = range(7)  # columns of the table of pairs
# numba's cache would keep a kernel while its own file stays the same, whatever happens to the others that
# are compiled into it.  As a default argument this number is part of the kernel's type, by which it is kept.
SOURCES = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


@njit
def strips_of(n):
    return -(-n // ROWS)


@njit(nogil=True)
def record_size(m, lanes):
    """Numbers that the forward pass keeps of a strip: the row above it, two diagonals for each segment."""
    return m + 1 + 2 * ROWS * segments(m, ROWS, lanes)


@njit(nogil=True)
def state_part(record, m, segment):
    """The part of a record (of mantissas or of exponents) for the diagonals before a segment."""
    start = m + 1 + 2 * ROWS * segment
    return record[start : start + 2 * ROWS].reshape(2, ROWS)


@njit(cache=True)
def plan(x_lengths, y_lengths, groups, one, floor, _sources=SOURCES):
    """The table of pairs, (pair, strip) of all strips, first strips first; what `forward_strips` fills."""
    batch = len(x_lengths)
    table, lanes = np.zeros((groups * batch, 7), np.int64), 64 // np.full(1, one).itemsize
    top = first = most = 0
    for p in range(len(table)):
        g, b = p // batch, p % batch
        n = y_lengths[b] if g == 2 else x_lengths[b]
        m = x_lengths[b] if g == 1 else y_lengths[b]
        strips = strips_of(n)
        table[p, GROUP], table[p, PAIR], table[p, ROWS_USED], table[p, COLUMNS_USED] = g, b, n, m
        table[p, TOP], table[p, FIRST_STRIP] = top, first
        top, first, most = top + (strips + 1) * record_size(m, lanes), first + strips + 1, max(most, strips)
    items = np.empty((first - len(table), 2), np.int64)
    i = 0
    for s in range(most):
        for p in range(len(table)):
            if s < strips_of(table[p, ROWS_USED]):
                items[i, 0], items[i, 1] = p, s
                i += 1
    # A strip reads the row above it to the end of its last tile, where nothing depends on what it finds.
    size = top + 2 * ROWS
    tops_m, tops_e = np.full(size, one), np.full(size, floor)
    progress = np.zeros(first, np.int64)
    for p in range(len(table)):
        tops_e[table[p, TOP]] = 0  # the corner before the first cell: Z = 1
        progress[table[p, FIRST_STRIP]] = 2**62
    return table, items, tops_m, tops_e, progress, np.full((first, 2), one)


@njit(cache=True)
def plan_back(table, seeds, _sources=SOURCES):
    """By column + 1, what each strip passes to the row above; the strips' progress; columns of the widest."""
    rows = longest = 0
    for p in range(len(table)):
        rows += strips_of(table[p, ROWS_USED]) + 1
        longest = max(longest, table[p, COLUMNS_USED])
    passed, progress = np.zeros((rows, longest + 1), seeds.dtype), np.full(rows, 2**62)
    for p in range(len(table)):
        strips, m = strips_of(table[p, ROWS_USED]), table[p, COLUMNS_USED]
        # Below the last row, what each path ends with.
        passed[table[p, FIRST_STRIP] + strips, m] = 1
        progress[table[p, FIRST_STRIP] + strips] = -1
    return passed, progress, longest


@njit(cache=True, error_model="numpy")
def judge(table, extremes, tops_m, tops_e, gamma, _sources=SOURCES):
    """Losses (pairs,), and whether a pair is WIDE; sets each pair's state.

    Exponents stay between -A and P, with A and P the sums of the largest positive and negative costs (and
    of log2 3) over a longest path.  A forbidden cell falls by `forbidden_drop` from at most P and can
    rise again by P. It remains below all reachable cells, and no integer overflows, while A + 2 P <
    forbidden_drop.
    """
    bits = 8 * tops_e.itemsize
    largest = 2.0 ** (21 if bits == 32 else 50)
    values, wide = np.empty(len(table)), False
    for p in range(len(table)):
        n, m, first = table[p, ROWS_USED], table[p, COLUMNS_USED], table[p, FIRST_STRIP]
        strips = strips_of(n)
        end = table[p, TOP] + strips * record_size(m, 64 // tops_m.itemsize) + m
        negative = positive = 0.0
        for s in range(first, first + strips):
            negative, positive = max(negative, extremes[s, 0]), max(positive, extremes[s, 1])
        power = 1.4426950408889634 / gamma
        up, down = negative * power, positive * power
        P, A = (n + m) * (up + 2), (n + m) * down
        exponent = float(tops_e[end])
        values[p] = -gamma * (np.log(float(tops_m[end])) + exponent * np.log(2.0))
        table[p, STATE] = DONE
        if negative == np.inf:
            table[p, STATE], values[p] = INVALID, np.nan
        elif not (up < largest and down < largest and 2.0 ** (bits - 2) - 2.0 ** (bits - 7) > A + 2 * P):
            table[p, STATE], wide = WIDE, True
        elif exponent < -(2.0 ** (bits - 2)) + 2.0 ** (bits - 8) + 2 * P + 2.0 ** (bits - 9):
            table[p, STATE], values[p] = UNREACHABLE, np.inf
    return values, wide
