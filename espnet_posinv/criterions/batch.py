"""Data of the batch that a criterion needs besides the two waveforms, and what follows from them.

ESPnet's loss wrappers call ``criterion(ref, inf)`` without lengths or utterance ids.  Our model sets them
here while it computes the loss.  Unlike an attribute of the criterion, a context variable is safe under
DataParallel, whose threads share the criterions.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from espnet_posinv.perturb.seeding import generator
from espnet_posinv.perturb.speed import change_speed


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


def lengths_of(wav: torch.Tensor, lengths: torch.Tensor | None) -> tuple[torch.Tensor, str]:
    """True lengths (B,) on the CPU: given, or from the model, or the full width; and why they are unknown.

    They are read several times; on a GPU each read would wait for its queue.

    Raises:
        ValueError: given ones that are not B whole numbers from 1 to T.
    """
    if lengths is not None:
        lengths = torch.as_tensor(lengths).cpu()
        if lengths.is_floating_point() or lengths.dtype == torch.bool or lengths.shape != wav.shape[:1]:
            raise ValueError(
                f"lengths {lengths.dtype} {tuple(lengths.shape)}: {len(wav)} whole numbers of samples needed"
            )
        for row, length in enumerate(lengths.tolist()):
            if not 1 <= length <= wav.shape[1]:
                raise ValueError(
                    f"utterance {row} of the batch: length {length}, but there are {wav.shape[1]} samples"
                )
        return lengths, ""
    lengths = current_batch().lengths
    if lengths is not None and len(lengths) == len(wav):
        return lengths.cpu(), ""
    reason = (
        "it was called without the utterances' lengths (run ESPnet through python -m espnet_posinv)"
        if lengths is None
        else f"it was called with {len(wav)} of {len(lengths)} utterances (a PIT solver with "
        "independent_perm: false does so)"
    )
    return torch.full((len(wav),), wav.shape[1]), reason


def at_rate(wav: torch.Tensor, lengths: torch.Tensor, rate: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The batch's waveforms ``(B, T)`` and lengths ``(B,)``, resampled to ``rate`` Hz if needed.

    Raises:
        ValueError: the batch has several rates, and their number is not B.
    """
    known = current_batch().sample_rates
    rates = [rate] if known is None else known.tolist()
    if len(set(rates)) == 1:
        rates = rates[:1] * len(wav)
    if len(rates) != len(wav):
        raise ValueError(
            f"it was called with {len(wav)} of {len(rates)} utterances, which have several "
            f"sample rates ({sorted(set(rates))} Hz): use wrapper: fixed_order, or batches of one rate"
        )
    if all(r == rate for r in rates):
        return wav, lengths
    return change_speed(wav, lengths, [Fraction(r, rate) for r in rates])


def generators(name: str, count: int) -> list[np.random.Generator]:
    """One random generator per utterance, for the criterion ``name``.

    Training: seeded by the utterance's id and the seed of the epoch (ESPnet calls ``manual_seed(seed +
    epoch)`` before each), so an epoch that is repeated after a kill has the same draws, on any number of
    processes.  Validation (no gradients): seeded by the id only, so that epochs are comparable.  Without ids,
    the row in the batch is used, in training with a number from torch's generator.
    """
    ids = current_batch().utt_ids
    training = torch.is_grad_enabled()
    if ids is not None and len(ids) == count:
        epoch = torch.initial_seed() if training else "valid"
        return [generator(name, utt_id, epoch) for utt_id in ids]
    nonce = int(torch.randint(2**62, ())) if training else "valid"
    return [generator(name, row, nonce) for row in range(count)]
