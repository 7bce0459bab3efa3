"""The CUDA kernel of the forward pass: Z by strips (`strips`) from costs (`costs`), by cells (`cells`)."""

import math

import numpy as np
from numba import cuda, float32, types

from espnet_posinv.softdtw.cuda.cells import FLOOR, INFINITY, extremes, next_cell, power_of, weights_of
from espnet_posinv.softdtw.cuda.costs import costs_of_steps, load_costs, prefetch_costs, store_costs
from espnet_posinv.softdtw.cuda.strips import (
    AHEAD,
    CHUNK,
    DOUBLES,
    EACH,
    FINISHED,
    FLOATS,
    LONGS,
    NEGATIVE,
    NOT_READY,
    ONE,
    PAD,
    POSITIVE,
    RING,
    SHAPE,
    STATE,
    WORDS,
    ZERO,
    number_of,
    of_first_lanes,
    row_interval,
    size,
    ticket,
    wait,
    word_of,
)
from espnet_posinv.softdtw.cuda.warp import (
    WARP,
    behind,
    bits,
    device,
    from_bits,
    largest_unsigned,
    maximum,
    peek,
    together,
)
from espnet_posinv.softdtw.exponents import INVALID, limits
from espnet_posinv.softdtw.exponents import judge as _judge

judge, LIMITS = device(_judge), limits(32)

SIGNATURE = types.void(
    *[FLOATS] * 3, LONGS, LONGS, WORDS, LONGS, LONGS, DOUBLES, *SHAPE, *[types.float32] * 3, types.float64
)


@device
def _judged(longs, at, last, steps, gamma):
    """State and loss of a finished matrix."""
    negative, positive = (from_bits(np.int32(peek(longs, at + NEGATIVE))),
                          from_bits(np.int32(peek(longs, at + POSITIVE))))  # fmt: skip
    return judge(number_of(peek(longs, last)), (negative, positive), steps, gamma, LIMITS)


@device
def _step(t, state, upper, costs, place, constants):
    """A step of all lanes.  The state also has the bits of the lowest and highest finite D so far."""
    first, column, lo, hi, on_diagonal = place
    column = np.int32(column + t)
    d = costs[t] if lo <= column and column <= hi else INFINITY
    lowest, highest = largest_unsigned(state[6], bits(d)), state[7]
    highest = highest if d == INFINITY else maximum(highest, bits(d))
    power, whole = power_of(d, constants[0], constants[1], constants[2])
    m, e, diag_m, diag_e, w_diag, w_up = next_cell(
        state, upper[0][t], upper[1][t], first, column == on_diagonal, power, whole
    )
    return m, e, diag_m, diag_e, w_diag, w_up, lowest, highest


def kernel(
    D0, D1, D2, x_lengths, y_lengths, words, longs, W, values,
    batch, groups, N, M, strips, columns, band, keep, c_hi, c_lo, forbidden, gamma,
):  # fmt: skip
    """Compute Z of one strip; all words (rows, `EACH` for each matrix, a counter) start as NOT_READY.

    `longs` are the same words, as a bare address.  The costs D are whole matrices; W (strips, columns + 32,
    32) receives both weights of a cell as one word, if `keep`.
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    matrices = np.int32(batch * groups)
    pitch = np.int32(columns + 2 * PAD)
    rows = np.int64(matrices) * strips * pitch
    turn = ticket(words, rows + EACH * matrices)
    index, s = np.int32(turn % matrices), np.int32(turn // matrices)
    g, b, height, width, n, m = size(index, batch, N, M, x_lengths, y_lengths)
    at = rows + EACH * index
    if n < 1 or n > height or m < 1 or m > width:
        if s == 0 and lane == 0:
            words[at + STATE] = INVALID
            values[index] = math.nan
        return
    i0 = np.int32(s * WARP)
    if i0 >= n:
        return
    D = D0
    if g == 1:
        D = D1
    elif g == 2:
        D = D2
    h = np.int32(min(WARP, n - i0))
    folded = g > 0
    lo, hi = row_interval(min(i0 + lane, n - 1), n, m, band, folded)
    lo, hi = np.int32(lo), np.int32(hi if lane < h else -1)
    c0 = np.int32(row_interval(i0, n, m, band, folded)[0])
    c1 = np.int32(row_interval(i0 + h - 1, n, m, band, folded)[1] + 1)
    above0, above1 = np.int32(0), np.int32(0)  # the columns that the strip above passes on
    if s > 0:
        above0 = np.int32(row_interval(i0 - WARP, n, m, band, folded)[0])
        above1 = np.int32(row_interval(i0 - 1, n, m, band, folded)[1] + 1)
    own = np.int64(index * strips + s) * pitch + PAD
    above, row = behind(longs, own - pitch), behind(longs, own + c0 - lane)
    steps = np.int32(c1 - c0 + h - 1)
    D = behind(D, (np.int64(b) * height + i0) * width)
    W = behind(W, np.int64(index * strips + s) * (columns + WARP) * WARP + lane)
    diagonal = np.int32(i0 + lane if folded else -1)
    first = lane == 0

    ring = cuda.shared.array((WARP, RING), float32)
    got = cuda.local.array(CHUNK, float32)
    nothing = word_of((ONE, FLOOR))
    word = NOT_READY if first and above0 <= c0 - 1 < above1 else nothing
    diag_m, diag_e = number_of(wait(above, np.int64(c0 - 1), word))
    if first and s == 0:
        diag_e = np.int32(0)  # the corner: Z = 1
    state = (ONE, FLOOR, diag_m, diag_e, ZERO, ZERO, np.int32(0), np.int32(0))
    j = np.int32(c0 + lane)
    expected = lane < CHUNK and above0 <= j < above1
    word = peek(above, np.int64(j)) if expected else nothing
    constants, frame = (c_hi, c_lo, forbidden), (width, h, c0, c1, lane)
    load_costs(D, frame, np.int32(0), got)
    store_costs(got, ring, np.int32(0), lane)
    for k in range(np.int32(0), steps, np.int32(CHUNK)):
        k = np.int32(k)
        load_costs(D, frame, np.int32(k + CHUNK), got)
        prefetch_costs(D, frame, np.int32(k + AHEAD * CHUNK))
        j = np.int32(c0 + k + lane)
        edge_m, edge_e = number_of(wait(above, np.int64(j), word))
        j = np.int32(j + CHUNK)
        expected = lane < CHUNK and above0 <= j < above1
        word = peek(above, np.int64(j)) if expected else nothing
        together()
        upper = (of_first_lanes(edge_m), of_first_lanes(edge_e))
        costs, place = costs_of_steps(ring, lane, k), (first, np.int32(c0 + k - lane), lo, hi, diagonal)
        s0 = _step(0, state, upper, costs, place, constants)
        s1 = _step(1, s0, upper, costs, place, constants)
        s2 = _step(2, s1, upper, costs, place, constants)
        s3 = _step(3, s2, upper, costs, place, constants)
        s4 = _step(4, s3, upper, costs, place, constants)
        s5 = _step(5, s4, upper, costs, place, constants)
        s6 = _step(6, s5, upper, costs, place, constants)
        s7 = _step(7, s6, upper, costs, place, constants)
        state = s7
        store_costs(got, ring, np.int32(k + CHUNK), lane)
        if keep != 0:
            o = np.int64(np.int32(k * WARP))
            W[o] = weights_of(s0)
            W[o + 32] = weights_of(s1)
            W[o + 64] = weights_of(s2)
            W[o + 96] = weights_of(s3)
            W[o + 128] = weights_of(s4)
            W[o + 160] = weights_of(s5)
            W[o + 192] = weights_of(s6)
            W[o + 224] = weights_of(s7)
        if lane == h - 1:
            o = np.int64(k)
            row[o] = word_of(s0)
            row[o + 1] = word_of(s1)
            row[o + 2] = word_of(s2)
            row[o + 3] = word_of(s3)
            row[o + 4] = word_of(s4)
            row[o + 5] = word_of(s5)
            row[o + 6] = word_of(s6)
            row[o + 7] = word_of(s7)
    negative, positive = extremes(state[6], state[7])
    cuda.atomic.max(words, at + NEGATIVE, np.int64(negative))
    cuda.atomic.max(words, at + POSITIVE, np.int64(positive))
    cuda.threadfence()
    together()
    if lane == 0 and cuda.atomic.add(words, at + FINISHED, 1) == (n - 1) // WARP - 1:
        last = np.int64(index * strips + (n - 1) // WARP) * pitch + PAD + m - 1
        words[at + STATE], values[index] = _judged(longs, at, last, n + m, gamma)
