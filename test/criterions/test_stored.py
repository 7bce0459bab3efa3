"""Stored references give the loss and the gradient of references that are encoded anew."""

import logging

import pytest
import soundfile
import torch
import yaml

from espnet_posinv.cli import command
from espnet_posinv.criterions.batch import batch_info
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss

main = command("data", "store-references")

CLASSES = {"ssl_mse": SSLMSELoss, "ssl_softdtw": SSLSoftDTWLoss}
LENGTHS, IDS = torch.tensor([8000, 6123]), ["utt-a", "utt-b"]


def signals():
    torch.manual_seed(2)
    ref = 0.1 * torch.randn(2, 8000)
    return ref, ref + 0.02 * torch.randn(2, 8000)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory with the two references."""
    folder = tmp_path_factory.mktemp("data")
    for name, wav, n in zip(IDS, signals()[0], LENGTHS, strict=True):
        soundfile.write(folder / f"{name}.wav", wav[:n].numpy(), 16000, subtype="FLOAT")
    (folder / "spk1.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in IDS))
    return folder


def store(tmp_path, data, name, **conf):
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump({"criterions": [{"name": name, "conf": conf}, {"name": "si_snr", "conf": {}}]})
    )
    main([str(path), str(data), "--output", str(tmp_path / "stored")])
    return str(tmp_path / "stored")


@pytest.mark.parametrize(
    ("name", "conf"),
    [("ssl_mse", {}), ("ssl_mse", {"layers": ["conv", 2]}), ("ssl_softdtw", {"speeds": [0.9, 1.0, 1.1]})],
)
def test_the_loss_and_its_gradient_stay_the_same(upstream, data, tmp_path, name, conf):
    folder = store(tmp_path, data, name, upstream=upstream, **conf)
    found = []
    for more in ({}, {"references": folder}):
        ref, inf = signals()
        inf.requires_grad_()
        torch.manual_seed(5)
        with batch_info(lengths=LENGTHS, utt_ids=IDS):
            loss = CLASSES[name](upstream, **conf, **more)(ref, inf)
        loss.sum().backward()
        found.append((loss.detach(), inf.grad))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        found[1][1], found[0][1], rtol=1e-3, atol=1e-4 * float(found[0][1].abs().max())
    )


def test_what_does_not_belong_together_is_refused(upstream, data, tmp_path, caplog):
    folder = store(tmp_path, data, "ssl_softdtw", upstream=upstream, speeds=[1.0])
    ref, inf = signals()

    def loss(cls=SSLSoftDTWLoss, ids=IDS, lengths=LENGTHS, gain=1.0, **conf):
        with batch_info(lengths=lengths, utt_ids=ids), caplog.at_level(logging.ERROR), torch.no_grad():
            return cls(upstream, references=folder, **conf)(gain * ref, inf)

    assert loss(speeds=[1.0]).isfinite().all()
    for message, options in {
        r"made with layers -1, but the criterion has 1": {"layers": 1},
        r"features.scp: utt-\w@0.8 is not stored": {"speeds": [0.8]},
        r"utt-a@1 has 24 frames, but the utterance 18": {
            "lengths": torch.tensor([6000, 6123]),
            "speeds": [1.0],
        },
        r"utt-c@1 is not stored": {"ids": ["utt-c", "utt-b"], "speeds": [1.0]},
        r"stored with an RMS of 0.\d+, but the training has it with 0.\d+": {"gain": 2.0, "speeds": [1.0]},
        r"the batch has no utterance ids": {"ids": None},
        r"either perturbed_ref or references": {"perturbed_ref": True},
        r"each epoch draws new paddings": {"cls": SSLMSEPadLoss},
    }.items():
        with pytest.raises(ValueError, match=message):
            loss(**options)
    with pytest.raises(ValueError, match=r"there is no nowhere/encoder.json; make it with posinv data store"):
        SSLMSELoss(upstream, references="nowhere")
        with batch_info(lengths=LENGTHS, utt_ids=IDS):
            SSLMSELoss(upstream, references="nowhere")(ref, inf)
    with pytest.raises(SystemExit, match="stored exists: delete it"):
        store(tmp_path, data, "ssl_softdtw", upstream=upstream, speeds=[1.0])
