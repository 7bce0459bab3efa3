"""Data of the batch that a criterion needs besides the two waveforms.

ESPnet's loss wrappers call ``criterion(ref, inf)`` without lengths or utterance ids.  Our model sets them
here while it computes the loss.  Unlike an attribute of the criterion, a context variable is safe under
DataParallel, whose threads share the criterions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Batch:
    """Lengths ``(B,)`` in samples, B ids and sample rates, a perturbed reference if the data has one."""

    lengths: torch.Tensor | None = None
    sample_rates: torch.Tensor | None = None  # Hz; None: the criterion's
    utt_ids: Sequence[str] | None = None
    perturbed: torch.Tensor | None = None
    perturbed_lengths: torch.Tensor | None = None


_current: ContextVar[Batch] = ContextVar("espnet_posinv_batch", default=Batch())  # noqa: B039 (frozen)


def current_batch() -> Batch:
    """The batch whose loss is being computed; unknown fields are None."""
    return _current.get()


@contextmanager
def batch_info(**fields) -> Iterator[None]:
    """Within the block, ``current_batch()`` has these fields (others keep their values)."""
    token = _current.set(replace(_current.get(), **fields))
    try:
        yield
    finally:
        _current.reset(token)
