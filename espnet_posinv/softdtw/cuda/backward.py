"""The CUDA kernel of the backward pass: E by strips (`strips`), from the weights of the forward pass.

E is written from the lanes' anti-diagonals to the rows of memory in the same way as costs are read
(`costs`).
"""

import numpy as np
from numba import cuda, float32, types

from espnet_posinv.softdtw.cuda.strips import (
    AHEAD,
    CHUNK,
    EACH,
    FLOATS,
    LONGS,
    NAN,
    ONE,
    PAD,
    RING,
    SHAPE,
    STATE,
    WORDS,
    ZERO,
    of_first_lanes,
    row_interval,
    size,
    ticket,
    wait,
)
from espnet_posinv.softdtw.cuda.warp import (
    WARP,
    behind,
    bits,
    device,
    from_bits,
    lane_above,
    maximum,
    minimum,
    multiply_add,
    peek,
    prefetch,
    together,
)
from espnet_posinv.softdtw.exponents import DONE, UNREACHABLE

SIGNATURE = types.void(*[FLOATS] * 3, *[LONGS] * 3, WORDS, *[LONGS] * 2, FLOATS, *SHAPE)


@device
def _hand_back(state, edge, weights, t, last, seed):
    """E of a cell, and its parts for the left, upper and upper left cell; see `cpu/sweeps.py`."""
    to_left, to_above, to_diag, _ = state
    given = lane_above(to_above)
    # The shuffle's result is added last, since it arrives last.
    gradient = (edge[t] if last else given) + (to_left + seed)
    w_diag, w_up = from_bits(np.int32(weights[t])), from_bits(np.int32(weights[t] >> 32))
    to_left = gradient * ((ONE - w_diag) - w_up)
    return to_left, multiply_add(gradient, w_up, to_diag), gradient * w_diag, gradient


@device
def _load_weights(W, chunk):
    """The weights of a chunk's eight steps."""
    i = np.int64(np.int32(maximum(chunk, np.int32(0)) * (CHUNK * WARP)))
    return (W[i], W[i + 32], W[i + 64], W[i + 96], W[i + 128], W[i + 160], W[i + 192], W[i + 224])


def kernel(
    G0, G1, G2, x_lengths, y_lengths, state, words, longs, W, seeds,
    batch, groups, N, M, strips, columns, band, wanted,
):  # fmt: skip
    """Compute E of one strip, from the last column to the first.

    `words` (a row for each strip, and a counter) start as NOT_READY.
    """
    lane = np.int32(cuda.threadIdx.x & (WARP - 1))
    matrices = np.int32(batch * groups)
    pitch = np.int32(columns + 2 * PAD)
    rows = np.int64(matrices) * strips * pitch
    turn = ticket(words, rows)
    index, s = np.int32(turn % matrices), np.int32(strips - 1 - turn // matrices)
    g, b, height, width, n, m = size(index, batch, N, M, x_lengths, y_lengths)
    i0 = np.int32(s * WARP)
    if i0 >= height or (wanted >> g) & 1 == 0:
        return
    G = G0
    if g == 1:
        G = G1
    elif g == 2:
        G = G2
    G = behind(G, (np.int64(b) * height + i0) * width)
    found = state[rows + EACH * index + STATE]
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
    below0, below1 = np.int32(0), np.int32(0)  # the columns that the strip below passes on
    if i0 + h < n:
        below0 = np.int32(max(c0, row_interval(i0 + WARP, n, m, band, folded)[0] - 1))
        below1 = np.int32(min(c1, row_interval(min(i0 + 2 * WARP, n) - 1, n, m, band, folded)[1] + 1))
    own = np.int64(index * strips + s) * pitch + PAD
    below, row = behind(longs, own + pitch), behind(longs, own + c0)
    steps = np.int32(c1 - c0 + h - 1)
    W = behind(W, np.int64(index * strips + s) * (columns + WARP) * WARP + lane)
    seed, start = ZERO, np.int32(-1)
    if i0 + h == n and lane == h - 1:
        seed, start = seeds[index], np.int32(steps - 1)

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
        if chunk < final:  # 8 rows finished 32 columns in the previous chunk
            k = np.int32((chunk + 1) * CHUNK)
            r0, column = k & (WARP - 1), np.int32((k & -WARP) + lane)
            if r0 < h and c0 + column < c1:
                others = np.int32(h - 1 - r0)
                address = behind(G, np.int64(np.int32(r0 * width + c0 + column)))
                # Rows after the last one are replaced by it: it has the right value in the end.
                for i in range(CHUNK):
                    done[i] = ring[r0 + minimum(i, others), column & (RING - 1)]
                for i in range(CHUNK):
                    address[np.int64(np.int32(minimum(i, others) * width))] = done[i]
        if chunk >= 0:
            k = np.int32(chunk * CHUNK)
            word = wait(below, np.int64(j), word)
            edge = of_first_lanes(from_bits(np.int32(word)))
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
            # For the next chunk; weights of later chunks are prefetched into the second-level cache.
            weights = _load_weights(W, chunk - 1)
            if lane < 2 * CHUNK:
                o = maximum(chunk - AHEAD, np.int32(0)) * (CHUNK * WARP)
                prefetch(W, np.int64(np.int32(o + lane * (WARP // 2 - 1))))  # W begins at this lane
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
