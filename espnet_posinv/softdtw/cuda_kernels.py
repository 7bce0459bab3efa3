"""CUDA kernels (numba): one warp sweeps a strip of 32 rows and hands its last row to the next as it goes.

At step k, lane l holds the cell of row l and column k - l, so that all 32 are independent; a lane gets
its upper neighbour's Z from the lane before by a shuffle.  The arithmetic is that of `cells.py`, in
registers.

Strips of one pair run at the same time on different multiprocessors.  A warp writes each Z of its last
row into global memory as two 32-bit words, the one below reads them as soon as they differ from
NOT_READY: the words are their own flags, so no fence and no barrier is needed.  Warps take their strip
from a counter, in an order in which every strip comes after the one that it depends on, so whoever waits,
waits for a warp that is running.

Costs come from memory by rows and go to the lanes by anti-diagonals, through a ring of 64 columns in
shared memory; the gradient goes the other way.  Both are read 32 steps before they are needed.
"""

import math

import numpy as np
from numba import cuda, float32, int32, types

from espnet_posinv.softdtw.cells import exponent_floor, forbidden_drop
from espnet_posinv.softdtw.reference import row_interval as _row_interval
from espnet_posinv.softdtw.simd import FLOAT32
from espnet_posinv.softdtw.warp import (
    WARP,
    bits,
    device,
    from_bits,
    lane_above,
    lane_below,
    larger,
    maximum,
    multiply_add,
    of_lane,
    reciprocal,
    together,
)

CHUNK = 8  # columns that are handed over at a time
RING = 2 * WARP
NOT_READY = -1  # no mantissa (1 <= m < 2), no doubled exponent and no number has these bits
DONE, UNREACHABLE, INVALID, WIDE = range(4)  # a pair's state, as in `cpu.py`
STATE, NEGATIVE, POSITIVE, FINISHED, EACH = range(5)  # words of a pair, behind the rows
FLOOR = np.int32(exponent_floor(32))
DROP = np.int32(forbidden_drop(32))
ZERO, ONE, NAN = np.float32(0), np.float32(1), np.float32(np.nan)
INFINITY, MINUS_INFINITY = np.float32(np.inf), np.float32(-np.inf)
MAGIC, MAGIC_BITS = np.float32(1.5 * 2**23), np.int32(0x4B400000)
P0, P1, P2, P3, P4, P5, P6 = (np.float32(c) for c in FLOAT32.exp2_coefficients())

_floats, _ints, _longs, _doubles = map(
    types.CPointer, (types.float32, types.int32, types.int64, types.float64)
)
WORDS = types.Array(types.int32, 1, "C")  # atomics want an array; bare addresses index faster
_shape = [types.int32] * 8
FORWARD_SIGNATURE = types.void(
    *[_floats] * 3,
    _longs,
    _longs,
    WORDS,
    _ints,
    _floats,
    _doubles,
    *_shape,
    *[types.float32] * 3,
    types.float64,
)
BACKWARD_SIGNATURE = types.void(
    *[_floats] * 3, _longs, _longs, _ints, WORDS, _ints, _floats, _floats, *_shape
)

row_interval = device(_row_interval.py_func)


@device
def _aligned(m, e, base):
    return m * from_bits(np.int32(maximum(np.int32(e - base), np.int32(0)) << 23))


@device
def _power(d, c_hi, c_lo, limit):
    """2^(c d) as a number about 1 and a whole exponent; see `cells.power_of_two`."""
    shifted = multiply_add(d, c_hi, MAGIC)
    f = multiply_add(d, c_lo, multiply_add(d, c_hi, MAGIC - shifted))
    power = multiply_add(multiply_add(multiply_add(P6, f, P5), f, P4), f, P3)
    power = multiply_add(multiply_add(multiply_add(power, f, P2), f, P1), f, P0)
    return power, np.int32(bits(shifted) - MAGIC_BITS) if d < limit else np.int32(-DROP)


@device
def _next_cell(power, whole, up_m, up_e, left_m, left_e, diag_m, diag_e, weights):
    """Z of a cell and the weights (w_diag, w_up) of its gradient; see `cells.next_cell`."""
    base = np.int32(maximum(maximum(up_e, left_e), diag_e) - 127)
    up, left, diag = (
        _aligned(up_m, up_e, base),
        _aligned(left_m, left_e, base),
        _aligned(diag_m, diag_e, base),
    )
    total = diag + left + up
    z = bits(total * power)
    m = from_bits(np.int32((z & 0x7FFFFF) | 0x3F800000))
    e = maximum(np.int32(base + whole + (z >> 23)), FLOOR)
    w_diag, w_up = ZERO, ZERO
    if weights:
        inverse = reciprocal(total)
        w_diag = ONE if diag == total else diag * inverse
        w_up = ONE - w_diag if left == ZERO else up * inverse
    return m, e, w_diag, w_up


@device
def _read(words, i):
    """A word that another warp may be writing (an atomic, so that it is really read)."""
    return cuda.atomic.add(words, i, np.int32(0))


@device
def _wait(words, i, word):
    while word == NOT_READY:
        word = _read(words, i)
    return word


@device
def _ticket(words, i):
    """The warp's next strip: the counter at words[i] starts from -1."""
    number = np.int32(0)
    if cuda.threadIdx.x == 0:
        number = np.int32(cuda.atomic.add(words, i, np.int32(1)) + 1)
    return of_lane(number, 0)


@device
def _judge(words, at, last_m, last_e, values, p, steps, gamma):
    """State and loss of a pair whose strips are all finished; the bounds are derived in `cpu._judge`."""
    e = _read(words, last_e) >> 1
    scale = 1.4426950408889634 / gamma
    negative = from_bits(_read(words, at + NEGATIVE)) * scale
    positive = from_bits(_read(words, at + POSITIVE)) * scale
    P, A = steps * (negative + 2.0), steps * positive
    state = DONE
    value = -gamma * (math.log(float(from_bits(_read(words, last_m)))) + e * 0.6931471805599453)
    if negative == math.inf:
        state, value = INVALID, math.nan
    elif not (max(negative, positive) < 2.0**21 and A + 2.0 * P < 2.0**30 - 2.0**25):
        state, value = WIDE, math.nan
    elif e < -(2.0**30) + 2.0**24 + 2.0 * P + 2.0**23:
        state, value = UNREACHABLE, math.inf
    words[at + STATE] = np.int32(state)
    values[p] = value


@device
def _size(p, batch, N, M, x_lengths, y_lengths):
    """Group, pair of the group, rows and columns of the matrix, rows and columns in use."""
    g, b = np.int32(p // batch), np.int32(p % batch)
    n = np.int32(y_lengths[b] if g == 2 else x_lengths[b])
    m = np.int32(x_lengths[b] if g == 1 else y_lengths[b])
    return g, b, np.int32(M if g == 2 else N), np.int32(N if g == 1 else M), n, m


def forward_kernel(
    D0, D1, D2, x_lengths, y_lengths, words, rows_m, W, values,
    batch, groups, N, M, strips, columns, band, keep, c_hi, c_lo, limit, gamma,
):  # fmt: skip
    """One strip of Z; words (2 rows a strip, `EACH` words a pair, a counter) start as NOT_READY.

    `rows_m` are the same words, as a bare address.  The costs D are whole matrices; W (2, strips, columns
    + 32, 32) receives the weights if `keep`.
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    pairs = np.int32(batch * groups)
    rows = pairs * strips * columns
    ticket = _ticket(words, 2 * rows + EACH * pairs)
    p, s = np.int32(ticket % pairs), np.int32(ticket // pairs)
    g, b, height, pitch, n, m = _size(p, batch, N, M, x_lengths, y_lengths)
    at = 2 * rows + EACH * p
    if n < 1 or n > height or m < 1 or m > pitch:
        if s == 0 and lane == 0:
            words[at + STATE] = np.int32(INVALID)
            values[p] = math.nan
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
    folded, masked = g > 0, g > 0 or band >= 0
    lo, hi = row_interval(min(i0 + lane, n - 1), n, m, band, folded)
    c0 = np.int32(row_interval(i0, n, m, band, folded)[0])
    c1 = np.int32(row_interval(i0 + h - 1, n, m, band, folded)[1] + 1)
    above0, above1 = np.int32(0), np.int32(0)  # the columns that the strip above hands over
    if s > 0:
        above0 = np.int32(row_interval(i0 - WARP, n, m, band, folded)[0])
        above1 = np.int32(row_interval(i0 - 1, n, m, band, folded)[1] + 1)
    own = (p * strips + s) * columns
    above = own - columns
    steps = np.int32(c1 - c0 + h - 1)
    source = (np.int64(b) * height + i0) * pitch
    out = own + c0 - (h - 1)
    w = np.int64(p * strips + s) * (columns + WARP) * WARP + lane
    w_up = np.int64(pairs) * strips * (columns + WARP) * WARP
    first_out = np.int32(h - 1 if lane == h - 1 else steps)
    # Step at which this lane is on the diagonal of a folded problem.
    mirror = np.int32(i0 - c0 + 2 * lane if folded else -1)

    # 2^(c D) of 64 columns, made well ahead of the steps, for many cells at once
    power = cuda.shared.array((WARP, RING), float32)
    whole = cuda.shared.array((WARP, RING), int32)
    ahead = cuda.local.array(WARP, float32)
    negative, positive = ZERO, ZERO
    left_m, left_e = ONE, FLOOR
    diag_m, diag_e = ONE, FLOOR
    if lane == 0:
        if s == 0:
            diag_e = np.int32(0)  # the corner: Z = 1
        elif above0 <= c0 - 1 < above1:
            diag_m = from_bits(_wait(words, above + c0 - 1, np.int32(NOT_READY)))
            diag_e = np.int32(_wait(words, rows + above + c0 - 1, np.int32(NOT_READY)) >> 1)
    j = np.int32(c0 + lane)
    expected = lane < CHUNK and above0 <= j < above1
    word_m, word_e = bits(ONE), np.int32(2 * FLOOR)
    if expected:
        word_m, word_e = _read(words, above + j), _read(words, rows + above + j)
    for r in range(WARP):
        power[r, WARP + lane], whole[r, WARP + lane] = ONE, np.int32(-DROP)
    for k0 in range(np.int32(-WARP), steps, np.int32(WARP)):
        # Costs of columns k0 + 32 ... k0 + 63, for the steps after the next ones.
        j = np.int32(c0 + k0 + WARP + lane)
        for r in range(WARP):
            d = INFINITY
            if r < h and j < c1:
                d = D[source + r * pitch + j]
            ahead[r] = d
        for k1 in range(max(k0, np.int32(0)), min(k0 + WARP, steps), CHUNK):
            k1 = np.int32(k1)
            j = np.int32(c0 + k1 + lane)
            if expected:
                word_m, word_e = _wait(words, above + j, word_m), _wait(words, rows + above + j, word_e)
            edge_m, edge_e = from_bits(word_m), np.int32(word_e >> 1)
            j = np.int32(j + CHUNK)
            expected = lane < CHUNK and above0 <= j < above1
            word_m, word_e = bits(ONE), np.int32(2 * FLOOR)
            if expected:
                word_m, word_e = _read(words, above + j), _read(words, rows + above + j)
            for t in range(CHUNK):  # the last ones may be beyond `steps`: nothing comes of them
                k = np.int32(k1 + t)
                first_m, first_e = of_lane(edge_m, t), of_lane(edge_e, t)
                up_m, up_e = lane_below(left_m), lane_below(left_e)
                up_m, up_e = (first_m, first_e) if lane == 0 else (up_m, up_e)
                # On the diagonal the neighbour above counts twice, for its mirror image too.
                twice = np.int32(up_e + 1) if k == mirror else up_e
                q = (k - lane) & (RING - 1)
                left_m, left_e, weight_diag, weight_up = _next_cell(
                    power[lane, q], whole[lane, q], up_m, twice, left_m, left_e, diag_m, diag_e, keep != 0
                )
                diag_m, diag_e = up_m, up_e
                if keep != 0:
                    W[w + k * WARP], W[w + w_up + k * WARP] = weight_diag, weight_up
                if k >= first_out and k < steps:
                    rows_m[out + k], rows_m[rows + out + k] = bits(left_m), np.int32(2 * left_e)
        together()
        j = np.int32(c0 + k0 + WARP + lane)
        for r in range(WARP):
            d = ahead[r]
            if masked:
                first, end = of_lane(lo, r), of_lane(hi, r)  # by all lanes, whether they need it or not
                if j < first or j > end:
                    d = INFINITY
            negative = larger(negative, -d) if d > MINUS_INFINITY else INFINITY
            positive = larger(positive, d) if d < INFINITY else positive
            q = (k0 + WARP + lane) & (RING - 1)
            power[r, q], whole[r, q] = _power(d, c_hi, c_lo, limit)
        together()
    cuda.atomic.max(words, at + NEGATIVE, bits(negative))
    cuda.atomic.max(words, at + POSITIVE, bits(positive))
    cuda.threadfence()
    together()
    if lane == 0 and cuda.atomic.add(words, at + FINISHED, np.int32(1)) == (n - 1) // WARP - 1:
        last = (p * strips + (n - 1) // WARP) * columns + m - 1
        _judge(words, at, last, rows + last, values, p, n + m, gamma)


def backward_kernel(
    G0, G1, G2, x_lengths, y_lengths, state, words, handed_up, W, seeds,
    batch, groups, N, M, strips, columns, band, wanted,
):  # fmt: skip
    """One strip of E, from the last column to the first; words (a row a strip, a counter) start as NOT_READY.

    Each cell hands its E on by its own weights: to the left, up and up-left (see `cells.sweep_tile_back`).
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    pairs = np.int32(batch * groups)
    rows = pairs * strips * columns
    ticket = _ticket(words, rows)
    p, s = np.int32(ticket % pairs), np.int32(strips - 1 - ticket // pairs)
    g, b, height, pitch, n, m = _size(p, batch, N, M, x_lengths, y_lengths)
    i0 = np.int32(s * WARP)
    if i0 >= height or (wanted >> g) & 1 == 0:
        return
    G = G0
    if g == 1:
        G = G1
    elif g == 2:
        G = G2
    target = (np.int64(b) * height + i0) * pitch
    found = state[2 * rows + EACH * p + STATE]
    folded = g > 0
    if i0 >= n or found != DONE:
        for r in range(min(WARP, height - i0)):
            first, last = row_interval(min(i0 + r, n - 1), n, m, band, folded)
            for j in range(lane, pitch, WARP):
                inside = i0 + r < n and first <= j <= last
                G[target + r * pitch + j] = NAN if inside and found != UNREACHABLE else ZERO
        return
    h = np.int32(min(WARP, n - i0))
    c0 = np.int32(row_interval(i0, n, m, band, folded)[0])
    c1 = np.int32(row_interval(i0 + h - 1, n, m, band, folded)[1] + 1)
    for r in range(min(WARP, height - i0)):
        for j in range(lane, c0 if r < h else pitch, WARP):
            G[target + r * pitch + j] = ZERO
        for j in range(c1 + lane, pitch, WARP):
            G[target + r * pitch + j] = ZERO
    below0, below1 = np.int32(0), np.int32(0)  # the columns that the strip below hands over
    if i0 + h < n:
        below0 = np.int32(max(c0, row_interval(i0 + WARP, n, m, band, folded)[0] - 1))
        below1 = np.int32(min(c1, row_interval(min(i0 + 2 * WARP, n) - 1, n, m, band, folded)[1] + 1))
    own = (p * strips + s) * columns
    below = own + columns
    steps = np.int32(c1 - c0 + h - 1)
    w = np.int64(p * strips + s) * (columns + WARP) * WARP + lane
    w_up = np.int64(pairs) * strips * (columns + WARP) * WARP
    seed, start = ZERO, np.int32(-1)
    if i0 + h == n and lane == h - 1:
        seed, start = seeds[p], np.int32(steps - 1)
    handed = np.int32(c1 - c0 if lane == 0 and s > 0 else 0)

    ring = cuda.shared.array((WARP, RING), float32)
    now_diag = cuda.shared.array((WARP, WARP), float32)
    now_up = cuda.shared.array((WARP, WARP), float32)
    next_diag = cuda.local.array(WARP, float32)
    next_up = cuda.local.array(WARP, float32)
    last = np.int32((steps - 1) // WARP * WARP)
    to_left, to_above, to_diag = ZERO, ZERO, ZERO
    # Lane 31 gets column c0 + k - 31 from the strip below at step k; words for CHUNK steps, the last ones
    # first.
    j = np.int32(c0 + last + WARP - CHUNK + lane - (WARP - 1))
    expected = lane < CHUNK and below0 <= j < below1
    word = bits(ZERO)
    if expected:
        word = _read(words, below + j)
    for k0 in range(last + WARP, np.int32(-1), -WARP):
        k0 = np.int32(k0)
        # Weights of steps k0 - 32 ... k0 - 1, for the next turn.
        for t in range(WARP):
            k = np.int32(k0 - WARP + t)
            weight_diag, weight_up = ZERO, ZERO
            if k >= 0 and k < steps:
                weight_diag, weight_up = W[w + k * WARP], W[w + w_up + k * WARP]
            next_diag[t], next_up[t] = weight_diag, weight_up
        if k0 <= last:
            for t1 in range(WARP - CHUNK, -1, -CHUNK):
                k1 = np.int32(k0 + t1)
                j = np.int32(c0 + k1 + lane - (WARP - 1))
                if expected:
                    word = _wait(words, below + j, word)
                edge = from_bits(word)
                j = np.int32(j - CHUNK)
                expected = lane < CHUNK and below0 <= j < below1
                word = bits(ZERO)
                if expected:
                    word = _read(words, below + j)
                for t in range(CHUNK - 1, -1, -1):
                    k = np.int32(k1 + t)
                    first, gradient = of_lane(edge, t), lane_above(to_above)
                    gradient = (first if lane == WARP - 1 else gradient) + to_left
                    gradient = gradient + seed if k == start else gradient
                    weight_diag, weight_up = now_diag[t1 + t, lane], now_up[t1 + t, lane]
                    to_left = gradient * ((ONE - weight_diag) - weight_up)
                    to_above = multiply_add(gradient, weight_up, to_diag)
                    to_diag = gradient * weight_diag
                    ring[lane, (k - lane) & (RING - 1)] = gradient
                    if k < handed:
                        handed_up[own + c0 + k] = bits(to_above)
            together()
            j = np.int32(c0 + k0 + lane)
            for r in range(WARP):
                if r < h and j < c1:
                    G[target + r * pitch + j] = ring[r, (k0 + lane) & (RING - 1)]
        together()
        for t in range(WARP):
            now_diag[t, lane], now_up[t, lane] = next_diag[t], next_up[t]
        together()
    if handed > 0 and c0 > 0:
        words[own + c0 - 1] = bits(to_diag)
