"""The costs of the forward kernel: read by rows, used by anti-diagonals.

They go through a ring buffer of 64 columns in shared memory, eight rows a chunk: rows 8 g ... 8 g + 7 first
need columns 32 b ... 32 b + 31 in chunk 4 b + g.
"""

import numpy as np

from espnet_posinv.softdtw.cuda.strips import CHUNK, RING
from espnet_posinv.softdtw.cuda.warp import WARP, behind, device, minimum, prefetch


@device
def _of_step(ring, lane, k):
    return ring[lane, (k - lane) & (RING - 1)]


@device
def costs_of_steps(ring, lane, k):
    """The costs of a lane in steps k ... k + 7."""
    return (_of_step(ring, lane, k), _of_step(ring, lane, k + 1), _of_step(ring, lane, k + 2),
            _of_step(ring, lane, k + 3), _of_step(ring, lane, k + 4), _of_step(ring, lane, k + 5),
            _of_step(ring, lane, k + 6), _of_step(ring, lane, k + 7))  # fmt: skip


@device
def load_costs(D, frame, k, got):
    """Load the costs first needed in step k: 32 columns of eight rows, one column for each lane.

    Rows and columns after the strip's last ones are replaced by these.
    """
    width, h, c0, c1, lane = frame
    r0, j = minimum(k & (WARP - 1), h - 1), minimum(c0 + (k & -WARP) + lane, c1 - 1)
    others, column = np.int32(h - 1 - r0), behind(D, np.int64(np.int32(r0 * width + j)))
    for i in range(CHUNK):
        got[i] = column[np.int64(np.int32(minimum(i, others) * width))]


@device
def prefetch_costs(D, frame, k):
    """Prefetch the costs first needed in step k into the second-level cache, one row for each lane.

    Rows do not begin with a cache line, so 32 columns are in two lines; the first one is cached already.
    """
    width, h, c0, c1, lane = frame
    row, j = minimum((k & (WARP - 1)) + lane, h - 1), minimum(c0 + (k | (WARP - 1)), c1 - 1)
    if lane < CHUNK:
        prefetch(D, np.int64(np.int32(row * width + j)))


@device
def store_costs(got, ring, k, lane):
    q = np.int32((k & -WARP) + lane) & (RING - 1)
    for i in range(CHUNK):
        ring[(k & (WARP - 1)) + i, q] = got[i]
