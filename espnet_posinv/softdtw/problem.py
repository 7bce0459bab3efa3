"""The input of a backend."""

from typing import NamedTuple

from torch import Tensor


class Problem(NamedTuple):
    """A batch of pairs of sequences, with one cost matrix for each pair, or three.

    costs: [(B, N, M)], contiguous, float32 or float64; for a divergence also x against x (B, N, N) and y
        against y (B, M, M).  These two groups are symmetric and folded along their diagonals: cells below the
        diagonal are forbidden, each path is replaced by its mirror image above, and on the diagonal the upper
        neighbour counts twice, in place of the left one.  This halves the work.  Their alignments are folded
        too: T[i,j] = E[i,j] + E[j,i] for i < j, T[i,i] = E[i,i].
    x_lengths, y_lengths: int64 (B,), on the same device.
    band: Sakoe-Chiba band (`reference.row_interval`), or -1.
    """

    costs: list[Tensor]
    x_lengths: Tensor
    y_lengths: Tensor
    gamma: float
    band: int

    def lengths(self, group: int) -> tuple[Tensor, Tensor]:
        """Rows and columns in use of each cost matrix of a group."""
        rows = self.y_lengths if group == 2 else self.x_lengths
        columns = self.x_lengths if group == 1 else self.y_lengths
        return rows, columns
