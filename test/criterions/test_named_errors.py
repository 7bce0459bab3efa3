"""Whatever a criterion raises names the utterance."""

from pathlib import Path

import pytest
import torch

from espnet_posinv.criterions.batch import batch_info
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss

MINI = f"transformers:{Path(__file__).parents[2] / 'egs2/mini_debian/ssl1/mini_hubert'}"


@pytest.mark.parametrize("criterion", [SSLMSELoss, SSLSoftDTWLoss])
def test_a_short_utterance_is_named_by_its_id(criterion):
    loss, wav = criterion(MINI), torch.randn(2, 2000)
    lengths = torch.tensor([2000, 100])
    with (
        batch_info(utt_ids=["anna-1", "ben-2"], lengths=lengths),
        pytest.raises(ValueError, match=rf"{loss.name}: utterance ben-2: \d+ samples, but HuBERT"),
    ):
        loss(wav, wav)
    with pytest.raises(ValueError, match=r"utterance 1 of the batch: \d+ samples"):  # without ids
        loss(wav, wav, lengths)


def test_what_names_no_row_names_all():
    loss, wav = SSLMSELoss(MINI), torch.randn(2, 2000)
    loss.distance = lambda *_: (_ for _ in ()).throw(ValueError("something else"))
    with (
        batch_info(utt_ids=["anna-1", "ben-2"], lengths=torch.tensor([2000, 2000])),
        pytest.raises(ValueError, match=r"something else \(in the batch of anna-1, ben-2\)"),
    ):
        loss(wav, wav)
