"""Common parts of the CUDA kernels (numba): a warp sweeps a strip of 32 rows and passes its last row on.

At step k, lane l holds the cell of row l and column k - l, so that all 32 are independent; a lane gets its
neighbour's number by a shuffle.

Strips of one matrix run at the same time on different multiprocessors.  A warp writes each number of its last
row (in the backward pass: of its first row) into global memory as one 64-bit word, and the next warp reads it
as soon as it differs from NOT_READY: the words are their own flags, so neither fence nor barrier is needed.
Warps take strips from a counter, in an order in which every strip comes after the one that it depends on, so
a waiting warp waits for a running one.

A warp issues its instructions in order, and few warps share a multiprocessor, so latencies are not hidden.
Steps are therefore grouped into chunks of eight without a branch; the input of a chunk (costs, weights, words
of the neighbour) is read at least one chunk ahead, its results are stored after it.
"""

import numpy as np
from numba import cuda, types

from espnet_posinv.softdtw.cuda.warp import (
    WARP,
    anywhere,
    bits,
    device,
    from_bits,
    of_lane,
    peek,
)
from espnet_posinv.softdtw.reference import row_interval as _row_interval

CHUNK = 8  # steps without a branch; columns passed on at a time
AHEAD = 5  # chunks between a prefetch and the load
RING = 2 * WARP  # columns of the ring buffer between rows and anti-diagonals
PAD = WARP + CHUNK  # words before and after a row, which the warp's first and last steps may write
NOT_READY = -1  # bits that no mantissa (1 <= m < 2) and no finite number has
STATE, NEGATIVE, POSITIVE, FINISHED, EACH = range(5)  # words of a matrix, after the rows
ZERO, ONE, NAN = np.float32(0), np.float32(1), np.float32(np.nan)

FLOATS, LONGS, DOUBLES = map(types.CPointer, (types.float32, types.int64, types.float64))
WORDS = types.Array(types.int64, 1, "C")  # atomics want an array; bare addresses index faster
SHAPE = [types.int32] * 8

row_interval = device(_row_interval.py_func)


@device
def word_of(number):
    """The first two entries of `number`, m and e, as one word."""
    return (np.int64(number[1]) << 32) | np.int64(bits(number[0]))


@device
def number_of(word):
    return from_bits(np.int32(word & 0xFFFFFFFF)), np.int32(word >> 32)


@device
def wait(row, i, word):
    """Wait for a word; a lane that expects none passes another word.

    All lanes loop together: if they left the loop one by one, each later shuffle would first have to
    synchronise them.
    """
    while anywhere(word == NOT_READY):
        if word == NOT_READY:
            word = peek(row, i)
    return word


@device
def ticket(words, i):
    """The warp's next strip: the counter at words[i] starts from -1."""
    number = np.int32(0)
    if cuda.threadIdx.x == 0:
        number = np.int32(cuda.atomic.add(words, i, 1) + 1)
    return of_lane(number, 0)


@device
def size(index, batch, N, M, x_lengths, y_lengths):
    """Group and pair of a matrix, its rows and columns, and those in use."""
    g, b = np.int32(index // batch), np.int32(index % batch)
    n = np.int32(y_lengths[b] if g == 2 else x_lengths[b])
    m = np.int32(x_lengths[b] if g == 1 else y_lengths[b])
    return g, b, np.int32(M if g == 2 else N), np.int32(N if g == 1 else M), n, m


@device
def of_first_lanes(x):
    """x of each of the first eight lanes, for all lanes."""
    return (of_lane(x, 0), of_lane(x, 1), of_lane(x, 2), of_lane(x, 3),
            of_lane(x, 4), of_lane(x, 5), of_lane(x, 6), of_lane(x, 7))  # fmt: skip
