"""CUDA kernels (numba): one warp sweeps a strip of 32 rows and hands its last row to the next as it goes.

At step k, lane l holds the cell of row l and column k - l, so that all 32 are independent; a lane gets
its upper neighbour's Z from the lane before by a shuffle.  The arithmetic is that of `cells.py`, in
registers.

Strips of one pair run at the same time on different multiprocessors.  A warp writes each Z of its last
row into global memory as one 64-bit word, the one below reads it as soon as it differs from NOT_READY:
the words are their own flags, so no fence and no barrier is needed.  Warps take their strip from a
counter, in an order in which every strip comes after the one that it depends on, so whoever waits, waits
for a warp that is running.

A warp issues its instructions in order, and few warps share a multiprocessor, so whatever a step waits for,
it waits for in full.  Steps come in chunks of eight without a branch; what a chunk needs (costs, weights,
words of the neighbour) is read a chunk or more ahead, what it makes is stored behind it.

Costs come from memory by rows and go to the lanes by anti-diagonals, through a ring of 64 columns in shared
memory, eight rows a chunk: rows 8 g ... 8 g + 7 first need columns 32 b ... 32 b + 31 in chunk 4 b + g.
The gradient goes the other way.
"""

import math

import numpy as np
from numba import cuda, float32, types

from espnet_posinv.softdtw.cells import exponent_floor, forbidden_drop
from espnet_posinv.softdtw.reference import row_interval as _row_interval
from espnet_posinv.softdtw.simd import FLOAT32
from espnet_posinv.softdtw.warp import (
    WARP,
    anywhere,
    behind,
    bits,
    device,
    from_bits,
    lane_above,
    lane_below,
    largest_unsigned,
    maximum,
    minimum,
    multiply_add,
    of_lane,
    peek,
    prefetch,
    reciprocal,
    together,
)

AHEAD = 5  # chunks that what comes from memory is asked for before it is loaded
CHUNK = 8  # steps without a branch; columns that are handed over at a time
RING = 2 * WARP
PAD = WARP + CHUNK  # words before and behind a row, which the warp's first and last steps may write
NOT_READY = -1  # no mantissa (1 <= m < 2) and no finite number has these bits
DONE, UNREACHABLE, INVALID, WIDE = range(4)  # a pair's state, as in `cpu.py`
STATE, NEGATIVE, POSITIVE, FINISHED, EACH = range(5)  # words of a pair, behind the rows
FLOOR = np.int32(exponent_floor(32))
DROP = np.int32(forbidden_drop(32))
INFINITE = np.int32(0x7F800000)  # the bits of infinity
ZERO, ONE, NAN = np.float32(0), np.float32(1), np.float32(np.nan)
INFINITY = np.float32(np.inf)
MAGIC, MAGIC_BITS = np.float32(1.5 * 2**23), np.int32(0x4B400000)
P0, P1, P2, P3, P4, P5, P6 = (np.float32(c) for c in FLOAT32.exp2_coefficients())

_floats, _ints, _longs, _doubles = map(
    types.CPointer, (types.float32, types.int32, types.int64, types.float64)
)
WORDS = types.Array(types.int64, 1, "C")  # atomics want an array; bare addresses index faster
_shape = [types.int32] * 8
FORWARD_SIGNATURE = types.void(
    *[_floats] * 3,
    _longs,
    _longs,
    WORDS,
    _longs,
    _longs,
    _doubles,
    *_shape,
    *[types.float32] * 3,
    types.float64,
)
BACKWARD_SIGNATURE = types.void(*[_floats] * 3, *[_longs] * 3, WORDS, *[_longs] * 2, _floats, *_shape)

SIGNATURES = {"forward_kernel": FORWARD_SIGNATURE, "backward_kernel": BACKWARD_SIGNATURE}

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
def _next_cell(state, edge_m, edge_e, first, diagonal, power, whole):
    """The next Z of a lane and the weights (w_diag, w_up) of its gradient; see `cells.next_cell`.

    The state is (m, e) of the left and of the upper left neighbour, and the weights.  The first lane's
    upper neighbour is (edge_m, edge_e); on the diagonal of a folded problem it counts twice, for its mirror
    image too.
    """
    left_m, left_e, diag_m, diag_e = state[0], state[1], state[2], state[3]
    up_m, up_e = lane_below(left_m), lane_below(left_e)
    up_m, up_e = (edge_m, edge_e) if first else (up_m, up_e)
    twice = np.int32(up_e + 1) if diagonal else up_e
    base = np.int32(maximum(maximum(left_e, diag_e), twice) - 127)
    left, diag, up = (
        _aligned(left_m, left_e, base),
        _aligned(diag_m, diag_e, base),
        _aligned(up_m, twice, base),
    )
    total = diag + left + up
    z = bits(total * power)
    m = from_bits(np.int32((z & 0x7FFFFF) | 0x3F800000))
    e = maximum(np.int32(base + whole + (z >> 23)), FLOOR)
    inverse = reciprocal(total)
    w_diag = ONE if diag == total else diag * inverse
    w_up = ONE - w_diag if left == ZERO else up * inverse
    return m, e, up_m, up_e, w_diag, w_up


@device
def _word(number):
    """m and e, with which `number` starts, as one word."""
    return (np.int64(number[1]) << 32) | np.int64(bits(number[0]))


@device
def _weights_of(state):
    """w_diag and w_up as one word: an instruction less to store them, and one to load them."""
    return (np.int64(bits(state[5])) << 32) | (np.int64(bits(state[4])) & 0xFFFFFFFF)


@device
def _of_first_lanes(x):
    """x of each of the first eight lanes, for all lanes."""
    return (of_lane(x, 0), of_lane(x, 1), of_lane(x, 2), of_lane(x, 3),
            of_lane(x, 4), of_lane(x, 5), of_lane(x, 6), of_lane(x, 7))  # fmt: skip


@device
def _of_step(ring, lane, k):
    return ring[lane, (k - lane) & (RING - 1)]


@device
def _of_steps(ring, lane, k):
    """What a lane needs in steps k ... k + 7."""
    return (_of_step(ring, lane, k), _of_step(ring, lane, k + 1), _of_step(ring, lane, k + 2),
            _of_step(ring, lane, k + 3), _of_step(ring, lane, k + 4), _of_step(ring, lane, k + 5),
            _of_step(ring, lane, k + 6), _of_step(ring, lane, k + 7))  # fmt: skip


@device
def _number(word):
    return from_bits(np.int32(word & 0xFFFFFFFF)), np.int32(word >> 32)


@device
def _wait(row, i, word):
    """The word as soon as it is there; a lane that expects none has another in its place.

    All lanes go round together: if they came out of the loop one by one, each shuffle that follows would have
    to bring them together first.
    """
    while anywhere(word == NOT_READY):
        if word == NOT_READY:
            word = peek(row, i)
    return word


@device
def _ticket(words, i):
    """The warp's next strip: the counter at words[i] starts from -1."""
    number = np.int32(0)
    if cuda.threadIdx.x == 0:
        number = np.int32(cuda.atomic.add(words, i, 1) + 1)
    return of_lane(number, 0)


@device
def _judge(words, longs, at, last, values, p, steps, gamma):
    """State and loss of a pair whose strips are all finished; the bounds are derived in `cpu._judge`."""
    m, e = _number(peek(longs, last))
    scale = 1.4426950408889634 / gamma
    negative = from_bits(np.int32(peek(longs, at + NEGATIVE))) * scale
    positive = from_bits(np.int32(peek(longs, at + POSITIVE))) * scale
    P, A = steps * (negative + 2.0), steps * positive
    state = DONE
    value = -gamma * (math.log(float(m)) + e * 0.6931471805599453)
    if negative == math.inf:
        state, value = INVALID, math.nan
    elif not (max(negative, positive) < 2.0**21 and A + 2.0 * P < 2.0**30 - 2.0**25):
        state, value = WIDE, math.nan
    elif e < -(2.0**30) + 2.0**24 + 2.0 * P + 2.0**23:
        state, value = UNREACHABLE, math.inf
    words[at + STATE] = state
    values[p] = value


@device
def _size(p, batch, N, M, x_lengths, y_lengths):
    """Group, pair of the group, rows and columns of the matrix, rows and columns in use."""
    g, b = np.int32(p // batch), np.int32(p % batch)
    n = np.int32(y_lengths[b] if g == 2 else x_lengths[b])
    m = np.int32(x_lengths[b] if g == 1 else y_lengths[b])
    return g, b, np.int32(M if g == 2 else N), np.int32(N if g == 1 else M), n, m


@device
def _load_costs(D, frame, k, got):
    """Costs that step k is the first to need: 32 columns of eight rows, a column a lane.

    The last row and column of the strip stand in for what is behind them.
    """
    width, h, c0, c1, lane = frame
    r0, j = minimum(k & (WARP - 1), h - 1), minimum(c0 + (k & -WARP) + lane, c1 - 1)
    others, column = np.int32(h - 1 - r0), behind(D, np.int64(np.int32(r0 * width + j)))
    for i in range(CHUNK):
        got[i] = column[np.int64(np.int32(minimum(i, others) * width))]


@device
def _prefetch_costs(D, frame, k):
    """Have the costs that step k is the first to need brought into the second-level cache: a row a lane.

    Rows do not start with a cache line, so 32 columns are in two; the first is the last one of those before.
    """
    width, h, c0, c1, lane = frame
    row, j = minimum((k & (WARP - 1)) + lane, h - 1), minimum(c0 + (k | (WARP - 1)), c1 - 1)
    if lane < CHUNK:
        prefetch(D, np.int64(np.int32(row * width + j)))


@device
def _store_costs(got, ring, k, lane):
    q = np.int32((k & -WARP) + lane) & (RING - 1)
    for i in range(CHUNK):
        ring[(k & (WARP - 1)) + i, q] = got[i]


@device
def _step(t, state, upper, costs, place, constants):
    """A step of all lanes.  The state also has the bits of the lowest and of the highest finite D so far."""
    first, column, lo, hi, on_diagonal = place
    column = np.int32(column + t)
    d = costs[t] if lo <= column and column <= hi else INFINITY
    lowest, highest = largest_unsigned(state[6], bits(d)), state[7]
    highest = highest if d == INFINITY else maximum(highest, bits(d))
    power, whole = _power(d, constants[0], constants[1], constants[2])
    m, e, diag_m, diag_e, w_diag, w_up = _next_cell(
        state, upper[0][t], upper[1][t], first, column == on_diagonal, power, whole
    )
    return m, e, diag_m, diag_e, w_diag, w_up, lowest, highest


@device
def _extremes(lowest, highest):
    """The largest -D (infinite also for a NaN) and the largest finite D, both at least 0, as bits.

    Bits of floats are in the order of the floats: as unsigned integers the most negative one is the largest,
    as integers the most positive one; a NaN lies behind the infinity of its sign.
    """
    negative = np.int32(lowest & 0x7FFFFFFF) if lowest < 0 else np.int32(0)
    return minimum(INFINITE if highest > INFINITE else negative, INFINITE), highest


def forward_kernel(
    D0, D1, D2, x_lengths, y_lengths, words, longs, W, values,
    batch, groups, N, M, strips, columns, band, keep, c_hi, c_lo, limit, gamma,
):  # fmt: skip
    """One strip of Z; words (a row a strip, `EACH` a pair, a counter) start as NOT_READY.

    `longs` are the same words, as a bare address.  The costs D are whole matrices; W (strips, columns + 32, 32)
    receives both weights of a cell as one word, if `keep`.
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    pairs = np.int32(batch * groups)
    pitch = np.int32(columns + 2 * PAD)
    rows = np.int64(pairs) * strips * pitch
    ticket = _ticket(words, rows + EACH * pairs)
    p, s = np.int32(ticket % pairs), np.int32(ticket // pairs)
    g, b, height, width, n, m = _size(p, batch, N, M, x_lengths, y_lengths)
    at = rows + EACH * p
    if n < 1 or n > height or m < 1 or m > width:
        if s == 0 and lane == 0:
            words[at + STATE] = INVALID
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
    folded = g > 0
    lo, hi = row_interval(min(i0 + lane, n - 1), n, m, band, folded)
    lo, hi = np.int32(lo), np.int32(hi if lane < h else -1)
    c0 = np.int32(row_interval(i0, n, m, band, folded)[0])
    c1 = np.int32(row_interval(i0 + h - 1, n, m, band, folded)[1] + 1)
    above0, above1 = np.int32(0), np.int32(0)  # the columns that the strip above hands over
    if s > 0:
        above0 = np.int32(row_interval(i0 - WARP, n, m, band, folded)[0])
        above1 = np.int32(row_interval(i0 - 1, n, m, band, folded)[1] + 1)
    own = np.int64(p * strips + s) * pitch + PAD
    above, row = behind(longs, own - pitch), behind(longs, own + c0 - lane)
    steps = np.int32(c1 - c0 + h - 1)
    D = behind(D, (np.int64(b) * height + i0) * width)
    W = behind(W, np.int64(p * strips + s) * (columns + WARP) * WARP + lane)
    diagonal = np.int32(i0 + lane if folded else -1)
    first = lane == 0

    ring = cuda.shared.array((WARP, RING), float32)
    got = cuda.local.array(CHUNK, float32)
    nothing = _word((ONE, FLOOR))
    word = NOT_READY if first and above0 <= c0 - 1 < above1 else nothing
    diag_m, diag_e = _number(_wait(above, np.int64(c0 - 1), word))
    if first and s == 0:
        diag_e = np.int32(0)  # the corner: Z = 1
    state = (ONE, FLOOR, diag_m, diag_e, ZERO, ZERO, np.int32(0), np.int32(0))
    j = np.int32(c0 + lane)
    expected = lane < CHUNK and above0 <= j < above1
    word = peek(above, np.int64(j)) if expected else nothing
    constants, frame = (c_hi, c_lo, limit), (width, h, c0, c1, lane)
    _load_costs(D, frame, np.int32(0), got)
    _store_costs(got, ring, np.int32(0), lane)
    for k in range(np.int32(0), steps, np.int32(CHUNK)):
        k = np.int32(k)
        _load_costs(D, frame, np.int32(k + CHUNK), got)
        _prefetch_costs(D, frame, np.int32(k + AHEAD * CHUNK))
        j = np.int32(c0 + k + lane)
        edge_m, edge_e = _number(_wait(above, np.int64(j), word))
        j = np.int32(j + CHUNK)
        expected = lane < CHUNK and above0 <= j < above1
        word = peek(above, np.int64(j)) if expected else nothing
        together()
        upper = (_of_first_lanes(edge_m), _of_first_lanes(edge_e))
        costs, place = _of_steps(ring, lane, k), (first, np.int32(c0 + k - lane), lo, hi, diagonal)
        s0 = _step(0, state, upper, costs, place, constants)
        s1 = _step(1, s0, upper, costs, place, constants)
        s2 = _step(2, s1, upper, costs, place, constants)
        s3 = _step(3, s2, upper, costs, place, constants)
        s4 = _step(4, s3, upper, costs, place, constants)
        s5 = _step(5, s4, upper, costs, place, constants)
        s6 = _step(6, s5, upper, costs, place, constants)
        s7 = _step(7, s6, upper, costs, place, constants)
        state = s7
        _store_costs(got, ring, np.int32(k + CHUNK), lane)
        if keep != 0:
            o = np.int64(np.int32(k * WARP))
            W[o] = _weights_of(s0)
            W[o + 32] = _weights_of(s1)
            W[o + 64] = _weights_of(s2)
            W[o + 96] = _weights_of(s3)
            W[o + 128] = _weights_of(s4)
            W[o + 160] = _weights_of(s5)
            W[o + 192] = _weights_of(s6)
            W[o + 224] = _weights_of(s7)
        if lane == h - 1:
            o = np.int64(k)
            row[o] = _word(s0)
            row[o + 1] = _word(s1)
            row[o + 2] = _word(s2)
            row[o + 3] = _word(s3)
            row[o + 4] = _word(s4)
            row[o + 5] = _word(s5)
            row[o + 6] = _word(s6)
            row[o + 7] = _word(s7)
    negative, positive = _extremes(state[6], state[7])
    cuda.atomic.max(words, at + NEGATIVE, np.int64(negative))
    cuda.atomic.max(words, at + POSITIVE, np.int64(positive))
    cuda.threadfence()
    together()
    if lane == 0 and cuda.atomic.add(words, at + FINISHED, 1) == (n - 1) // WARP - 1:
        last = np.int64(p * strips + (n - 1) // WARP) * pitch + PAD + m - 1
        _judge(words, longs, at, last, values, p, n + m, gamma)


@device
def _hand_back(state, edge, weights, t, last, seed):
    """E of a cell, given what it sends to the left, up and up-left; see `cells.sweep_tile_back`."""
    to_left, to_above, to_diag, _ = state
    given = lane_above(to_above)
    gradient = (edge[t] if last else given) + (to_left + seed)  # what comes by the shuffle comes last
    w_diag, w_up = from_bits(np.int32(weights[t])), from_bits(np.int32(weights[t] >> 32))
    to_left = gradient * ((ONE - w_diag) - w_up)
    return to_left, multiply_add(gradient, w_up, to_diag), gradient * w_diag, gradient


@device
def _load_weights(W, chunk):
    """The weights of a chunk's eight steps."""
    i = np.int64(np.int32(maximum(chunk, np.int32(0)) * (CHUNK * WARP)))
    return (W[i], W[i + 32], W[i + 64], W[i + 96], W[i + 128], W[i + 160], W[i + 192], W[i + 224])


def backward_kernel(
    G0, G1, G2, x_lengths, y_lengths, state, words, longs, W, seeds,
    batch, groups, N, M, strips, columns, band, wanted,
):  # fmt: skip
    """One strip of E, from the last column to the first; words (a row a strip, a counter) start as NOT_READY.

    Each cell hands its E on by its own weights: to the left, up and up-left.
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    pairs = np.int32(batch * groups)
    pitch = np.int32(columns + 2 * PAD)
    rows = np.int64(pairs) * strips * pitch
    ticket = _ticket(words, rows)
    p, s = np.int32(ticket % pairs), np.int32(strips - 1 - ticket // pairs)
    g, b, height, width, n, m = _size(p, batch, N, M, x_lengths, y_lengths)
    i0 = np.int32(s * WARP)
    if i0 >= height or (wanted >> g) & 1 == 0:
        return
    G = G0
    if g == 1:
        G = G1
    elif g == 2:
        G = G2
    G = behind(G, (np.int64(b) * height + i0) * width)
    found = state[rows + EACH * p + STATE]
    folded = g > 0
    if i0 >= n or found != DONE:
        for r in range(min(WARP, height - i0)):
            begin, end = row_interval(min(i0 + r, n - 1), n, m, band, folded)
            for j in range(lane, width, WARP):
                inside = i0 + r < n and begin <= j <= end
                G[r * width + j] = NAN if inside and found != UNREACHABLE else ZERO
        return
    h = np.int32(min(WARP, n - i0))
    c0 = np.int32(row_interval(i0, n, m, band, folded)[0])
    c1 = np.int32(row_interval(i0 + h - 1, n, m, band, folded)[1] + 1)
    for r in range(min(WARP, height - i0)):
        for j in range(lane, c0 if r < h else width, WARP):
            G[r * width + j] = ZERO
        for j in range(c1 + lane, width, WARP):
            G[r * width + j] = ZERO
    below0, below1 = np.int32(0), np.int32(0)  # the columns that the strip below hands over
    if i0 + h < n:
        below0 = np.int32(max(c0, row_interval(i0 + WARP, n, m, band, folded)[0] - 1))
        below1 = np.int32(min(c1, row_interval(min(i0 + 2 * WARP, n) - 1, n, m, band, folded)[1] + 1))
    own = np.int64(p * strips + s) * pitch + PAD
    below, row = behind(longs, own + pitch), behind(longs, own + c0)
    steps = np.int32(c1 - c0 + h - 1)
    W = behind(W, np.int64(p * strips + s) * (columns + WARP) * WARP + lane)
    seed, start = ZERO, np.int32(-1)
    if i0 + h == n and lane == h - 1:
        seed, start = seeds[p], np.int32(steps - 1)

    ring = cuda.shared.array((WARP, RING), float32)
    final = np.int32((steps - 1) // CHUNK)
    parts = (ZERO, ZERO, ZERO, ZERO)
    # Lane 31 gets column c0 + k - 31 from the strip below at step k.
    j = np.int32(c0 + final * CHUNK + lane - (WARP - 1))
    expected = lane < CHUNK and below0 <= j < below1
    word = peek(below, np.int64(j)) if expected else np.int64(0)
    weights = _load_weights(W, final)
    done = cuda.local.array(CHUNK, float32)
    for chunk in range(final, -2, -1):
        chunk = np.int32(chunk)
        together()
        if chunk < final:  # 8 rows have left their 32 columns in the chunk before
            k = np.int32((chunk + 1) * CHUNK)
            r0, column = k & (WARP - 1), np.int32((k & -WARP) + lane)
            if r0 < h and c0 + column < c1:
                others, address = np.int32(h - 1 - r0), behind(G, np.int64(np.int32(r0 * width + c0 + column)))
                # The last row once more, for what is behind it: it is right in the end.
                for i in range(CHUNK):
                    done[i] = ring[r0 + minimum(i, others), column & (RING - 1)]
                for i in range(CHUNK):
                    address[np.int64(np.int32(minimum(i, others) * width))] = done[i]
        if chunk >= 0:
            k = np.int32(chunk * CHUNK)
            word = _wait(below, np.int64(j), word)
            edge = _of_first_lanes(from_bits(np.int32(word)))
            last = lane == WARP - 1
            e7 = _hand_back(parts, edge, weights, 7, last, seed if np.int32(k + 7) == start else ZERO)
            e6 = _hand_back(e7, edge, weights, 6, last, seed if np.int32(k + 6) == start else ZERO)
            e5 = _hand_back(e6, edge, weights, 5, last, seed if np.int32(k + 5) == start else ZERO)
            e4 = _hand_back(e5, edge, weights, 4, last, seed if np.int32(k + 4) == start else ZERO)
            e3 = _hand_back(e4, edge, weights, 3, last, seed if np.int32(k + 3) == start else ZERO)
            e2 = _hand_back(e3, edge, weights, 2, last, seed if np.int32(k + 2) == start else ZERO)
            e1 = _hand_back(e2, edge, weights, 1, last, seed if np.int32(k + 1) == start else ZERO)
            e0 = _hand_back(e1, edge, weights, 0, last, seed if np.int32(k + 0) == start else ZERO)
            parts = e0
            # For the next chunk; weights of later ones are brought as near as the second-level cache.
            weights = _load_weights(W, chunk - 1)
            if lane < 2 * CHUNK:
                o = maximum(chunk - AHEAD, np.int32(0)) * (CHUNK * WARP)
                prefetch(W, np.int64(np.int32(o + lane * (WARP // 2 - 1))))  # W starts with this lane's own
            j = np.int32(c0 + k - CHUNK + lane - (WARP - 1))
            expected = lane < CHUNK and below0 <= j < below1
            word = peek(below, np.int64(j)) if expected else np.int64(0)
            ring[lane, (k + 0 - lane) & (RING - 1)] = e0[3]
            ring[lane, (k + 1 - lane) & (RING - 1)] = e1[3]
            ring[lane, (k + 2 - lane) & (RING - 1)] = e2[3]
            ring[lane, (k + 3 - lane) & (RING - 1)] = e3[3]
            ring[lane, (k + 4 - lane) & (RING - 1)] = e4[3]
            ring[lane, (k + 5 - lane) & (RING - 1)] = e5[3]
            ring[lane, (k + 6 - lane) & (RING - 1)] = e6[3]
            ring[lane, (k + 7 - lane) & (RING - 1)] = e7[3]
            if lane == 0:
                o = np.int64(k)
                row[o] = np.int64(bits(e0[1]))
                row[o + 1] = np.int64(bits(e1[1]))
                row[o + 2] = np.int64(bits(e2[1]))
                row[o + 3] = np.int64(bits(e3[1]))
                row[o + 4] = np.int64(bits(e4[1]))
                row[o + 5] = np.int64(bits(e5[1]))
                row[o + 6] = np.int64(bits(e6[1]))
                row[o + 7] = np.int64(bits(e7[1]))
    if lane == 0 and c0 > 0:
        longs[own + c0 - 1] = np.int64(bits(parts[2]))
