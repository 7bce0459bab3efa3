"""Messages about a batch: which utterance is meant, and why a loss is not finite."""

import re

from torch import Tensor

from espnet_posinv.criterions.batch import current_batch


def with_ids(message: str, count: int) -> str:
    """A message with ids in place of rows of the batch; with all ids if it names no row."""
    ids = _ids(count)
    if ids is None:
        return message
    named = re.sub(r"utterance (\d+) of the batch", lambda row: f"utterance {ids[int(row[1])]}", message)
    return named if any(i in named for i in ids) else f"{message} (in the batch of {', '.join(ids)})"


def not_finite(loss: Tensor, ref: Tensor, inf: Tensor, lengths: Tensor) -> str:
    """Why the loss of the first utterance whose loss is NaN or infinite is so.

    Raises:
        ValueError: the clean signal of such an utterance is not finite.
    """
    ids, texts = _ids(len(loss)), []
    for row in (~loss.detach().isfinite()).nonzero().flatten().tolist():
        name = ids[row] if ids is not None else f"utterance {row} of the batch"
        clean, enhanced = ref[row, : lengths[row]], inf[row, : lengths[row]]
        if not clean.isfinite().all():
            at = int((~clean.isfinite()).nonzero()[0])
            raise ValueError(
                f"sample {at} of the clean reference of {name} is {clean[at].item()}: "
                "repair the file or remove the utterance"
            )
        cause = (
            "though both signals are finite"
            if enhanced.isfinite().all()
            else "because the enhanced one is not finite: its noisy input is not, or the model diverged"
        )
        texts.append(f"the loss of {name} is {loss[row].item()}, {cause}")
    return texts[0]


def _ids(count: int):
    ids = current_batch().utt_ids
    return ids if ids is not None and len(ids) == count else None
