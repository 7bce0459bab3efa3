"""What users import: it is there, lazy, and the losses work without ESPnet."""

import subprocess
import sys

import pytest

import espnet_posinv


def test_every_name_is_there_and_documented():
    for name in espnet_posinv.__all__:
        assert getattr(espnet_posinv, name).__doc__, name
        assert name in dir(espnet_posinv)
    with pytest.raises(AttributeError, match="no attribute 'SSLSoftDTW'"):
        espnet_posinv.SSLSoftDTW  # noqa: B018


# Everything that the light core does not install is hidden; transformers is what the encoder comes in.
LOSSES = """
import sys
for name in ("espnet", "espnet2", "torchaudio", "kaldiio", "librosa", "soxr", "matplotlib", "sklearn"):
    sys.modules[name] = None
import torch
from espnet_posinv import SSLMSELoss, SSLMSEPadLoss, SSLSoftDTWLoss, load_encoder
torch.manual_seed(0)
clean = 0.1 * torch.randn(2, 8000)
enhanced = (clean + 0.01 * torch.randn(2, 8000)).requires_grad_()
lengths = torch.tensor([8000, 6000])
for cls in (SSLMSELoss, SSLMSEPadLoss, SSLSoftDTWLoss):
    criterion = cls(sys.argv[1])
    assert isinstance(criterion, torch.nn.Module) and not list(criterion.parameters())
    loss = criterion(clean, enhanced, lengths)
    assert loss.shape == (2,) and (loss > 0).all(), (cls, loss)
    (grad,) = torch.autograd.grad(loss.sum(), enhanced)
    assert grad[0].abs().max() > 0 and not grad[1, 6000:].any()
features, frames = load_encoder(sys.argv[1])(clean, lengths)
assert frames.tolist() == [24, 18]
import espnet_posinv.perturb.noise, espnet_posinv.perturb.random_noise
"""


def test_losses_in_anybodys_loop_without_espnet(random_hubert):
    upstream = random_hubert(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    run = subprocess.run([sys.executable, "-c", LOSSES, upstream], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]


def test_every_installed_file_is_typed():
    from importlib.resources import files

    assert (files("espnet_posinv") / "py.typed").is_file()
