"""Packed batches: the rows of all utterances concatenated, so that nothing is computed for padding."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from espnet_posinv.device import to_device


class Packing:
    """Indices between a packed batch ``(N, ...)`` of N rows in all and a padded one ``(B, W, ...)``.

    Args:
        lengths: rows of each of the B utterances, at least one each; on the host, to avoid synchronisation.
        device: of the packed tensors.
    """

    @torch.compiler.disable
    def __init__(self, lengths: Sequence[int], device: torch.device):
        self.lengths = list(lengths)
        self.width = max(self.lengths)
        self.total = sum(self.lengths)
        self.equal = self.total == self.width * len(self.lengths)
        self.device = device
        first = np.cumsum([0, *lengths])
        owners = np.repeat(np.arange(len(lengths)), lengths)
        positions = np.arange(self.total) - first[owners]
        of_rows = np.stack([owners, positions, owners * self.width + positions])
        #: First row of each utterance, then N: ``(B + 1,)`` int32.
        self.starts = to_device(torch.from_numpy(first.astype(np.int32)), device)
        #: Of each row, ``(N,)``: its utterance, its index in it and among the B * W rows of a padded batch.
        self.owners, self.positions, self.padded_rows = to_device(torch.from_numpy(of_rows), device).unbind()

    @cached_property
    def mask(self) -> torch.Tensor:
        """True within the utterances of a padded batch, ``(B, W)``."""
        return torch.arange(self.width, device=self.device) < self.starts.diff()[:, None]

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """``(B, W, ...)`` -> ``(N, ...)``."""
        rows = x.flatten(0, 1)
        return rows if self.equal else rows.index_select(0, self.padded_rows)

    def unpack(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, ...)`` -> ``(B, W, ...)``, zeros in the padding."""
        if not self.equal:
            empty = x.new_zeros(len(self.lengths) * self.width, *x.shape[1:])
            x = empty.index_copy(0, self.padded_rows, x)
        return x.view(len(self.lengths), self.width, *x.shape[1:])

    def sums(self, x: torch.Tensor) -> torch.Tensor:
        """Sum over the rows of each utterance, ``(N, ...)`` -> ``(B, ...)``.

        Not by atomic additions, which are not deterministic, nor as a product with a mask, in which a NaN of
        one utterance would reach the others.
        """
        return self.unpack(x).sum(1)
