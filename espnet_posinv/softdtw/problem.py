"""What a kernel is asked to solve."""

from functools import cache
from typing import NamedTuple

from torch import Tensor


class Problem(NamedTuple):
    """A batch of alignments, in one group or three.

    costs: [(B, N, M)], contiguous, float32 or float64; for a divergence also x against x (B, N, N) and y
        against y (B, M, M).  These two are symmetric and are solved on and above their diagonals (see
        `cpu.py`): their alignments E are folded, T[i,j] = E[i,j] + E[j,i] for i < j, T[i,i] = E[i,i].
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

    def kernels(self):
        """The module that solves problems on this device: `forward` and `backward`."""
        return _kernels(self.costs[0].device.type)


@cache
def _kernels(device_type: str):
    if device_type == "cuda":
        from espnet_posinv.softdtw import cuda as kernels
    else:
        from espnet_posinv.softdtw import cpu as kernels
    return kernels
