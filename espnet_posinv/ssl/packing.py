"""Utterances of several lengths one behind another, with nothing between them that is computed in vain."""

import functools
from collections.abc import Sequence
from functools import cached_property

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from espnet_posinv.device import to_device


@torch.compiler.disable
def packing(lengths: Sequence[int], device: torch.device) -> "Packing":
    """The `Packing` of these lengths; that of a batch's last encoding serves the next one."""
    return (Packing if mode_is_on() else _packing)(tuple(lengths), device)


@functools.lru_cache(maxsize=16)
def _packing(lengths, device):
    return Packing(lengths, device)


def mode_is_on() -> bool:
    """Whether tensors that are made now are of no use later: inference mode, fake tensors."""
    return torch.is_inference_mode_enabled() or _get_current_dispatch_mode() is not None


class Packing:
    """Where the rows of each utterance lie: N rows in all, ``(N, ...)``, or ``(B, W, ...)`` with padding.

    Args:
        lengths: rows of each of the B utterances, at least one each; known to the host, so that nobody waits
            for a device.
        device: where tensors are packed.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device):
        self.lengths = list(lengths)
        self.width = max(self.lengths)
        self.total = sum(self.lengths)
        self.equal = self.total == self.width * len(self.lengths)
        self.device = device
        self.kept: dict[tuple, tuple] = {}  # what others derive from it

    @cached_property
    def starts(self) -> torch.Tensor:
        """First row of each utterance and, behind them, N: ``(B + 1,)`` int32."""
        ends = torch.tensor([0, *self.lengths], dtype=torch.int32, device="cpu").cumsum(0, dtype=torch.int32)
        return to_device(ends, self.device)

    @cached_property
    def owners(self) -> torch.Tensor:
        """Whose each row is, ``(N,)``."""
        counts = self.starts.diff()
        return torch.repeat_interleave(counts, output_size=self.total)

    @cached_property
    def positions(self) -> torch.Tensor:
        """Which of its utterance's rows each one is, ``(N,)``."""
        return torch.arange(self.total, device=self.device) - self.starts[self.owners]

    @cached_property
    def padded_rows(self) -> torch.Tensor:
        """Where each row stands among the B * W of a padded batch, ``(N,)``."""
        return self.owners * self.width + self.positions

    @cached_property
    def mask(self) -> torch.Tensor:
        """True within the utterances of a padded batch, ``(B, W)``."""
        return torch.arange(self.width, device=self.device) < self.starts.diff()[:, None]

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, W, ...)`` -> ``(N, ...)``."""
        rows = x.flatten(0, 1)
        return rows if self.equal else rows.index_select(0, self.padded_rows)

    def unpack(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, ...)`` -> ``(B, W, ...)``, zeros behind an utterance."""
        if not self.equal:
            empty = x.new_zeros(len(self.lengths) * self.width, *x.shape[1:])
            x = empty.index_copy(0, self.padded_rows, x)
        return x.view(len(self.lengths), self.width, *x.shape[1:])

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """Sum over the rows of each utterance, ``(N, ...)`` -> ``(B, ...)``.

        Not by atomic additions, which come out otherwise each time, nor as a product with zeros, which would
        hand on what is not finite in another utterance.
        """
        return self.unpack(x).sum(1)
