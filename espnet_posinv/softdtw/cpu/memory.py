"""A thread's own memory in the two passes: one tile, the weights of one segment."""

from typing import NamedTuple

import numpy as np

from espnet_posinv.softdtw.cpu.emitter import ROWS, SIDE_BYTES
from espnet_posinv.softdtw.exponents import Arithmetic

WRITTEN = 2  # tiles of E written to memory at once, which halves the visits of each page
TILES = 16  # of a segment, whose weights for the backward pass fit into the second-level cache


class Scratch(NamedTuple):
    """A thread's own memory for sweeps.

    costs: (steps, ROWS) of a tile.  mantissas, exponents: Z (2 + steps, ROWS), the two earlier steps first.
    cells: int64 (ROWS, 2), first and last column of each row, relative to the strip's first column.
    steps: (ROWS, 2), first and end of the steps at which each row has cells.
    seen: (SIDE_BYTES / size,), the largest bits among the costs (`tiles.read_square`).
    weights: () in the forward pass; in the backward pass (TILES, steps, 2, ROWS), those of a segment.
    """

    costs: np.ndarray
    mantissas: np.ndarray
    exponents: np.ndarray
    cells: np.ndarray
    steps: np.ndarray
    seen: np.ndarray
    weights: np.ndarray | tuple


class BackScratch(NamedTuple):
    """A thread's own memory for the backward pass.

    weights: those of `Scratch`.  E: (WRITTEN, steps, ROWS).  state, below, above: see `sweeps.BackTile`.
    steps: as in `Scratch`, but for all columns of the strip, since 0 is written where a row has no cells.
    """

    weights: np.ndarray
    E: np.ndarray
    state: np.ndarray
    below: np.ndarray
    above: np.ndarray
    steps: np.ndarray


def segment_weights(constants: Arithmetic) -> np.ndarray:
    """Memory for the weights of a segment: for each tile (steps, 2, ROWS), flat."""
    return np.empty((TILES, 2 * ROWS * SIDE_BYTES // constants.one.itemsize), constants.one.dtype)


def scratch(constants: Arithmetic, weights) -> Scratch:
    real, integer = constants.one.dtype, constants.floor.dtype
    side = SIDE_BYTES // real.itemsize
    return Scratch(
        costs=np.zeros((side, ROWS), real),
        mantissas=np.ones((side + 2, ROWS), real),
        exponents=np.full((side + 2, ROWS), constants.floor),
        cells=np.zeros((ROWS, 2), np.int64),
        steps=np.zeros((ROWS, 2), integer),
        seen=np.zeros(side, integer),
        weights=weights,
    )


def back_scratch(weights: np.ndarray) -> BackScratch:
    side = SIDE_BYTES // weights.itemsize
    return BackScratch(
        weights=weights,
        E=np.zeros((WRITTEN, side, ROWS), weights.dtype),
        state=np.zeros((3, ROWS), weights.dtype),
        below=np.zeros(side, weights.dtype),
        above=np.zeros(side, weights.dtype),
        steps=np.zeros((ROWS, 2), f"i{weights.itemsize}"),
    )
