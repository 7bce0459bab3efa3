"""Features and gradients of an utterance are those that it has alone, whatever is in its batch."""

import pytest
import torch

from espnet_posinv.ssl import load_encoder
from espnet_posinv.ssl.encoder import ROWS

EVERY = (
    "hubert-base",
    "hubert-large",
    "wav2vec2-base",
    "wav2vec2-large",
    "wavlm-base",
    "wavlm-large",
    "whisper",
)
LENGTHS = torch.tensor([9000, 6543, 1999])


def batch(fill=0.0):
    torch.manual_seed(3)
    wav = 0.1 * torch.randn(3, 9000)
    for row, n in zip(wav, LENGTHS, strict=True):
        row[n:] = fill
    return wav


def features_and_gradient(encoder, wav, lengths):
    wav = wav.clone().requires_grad_()
    feats, frames = encoder(wav, lengths)
    loss = sum(
        (f[:n] * torch.linspace(-1, 1, f.shape[1])).sin().sum() for f, n in zip(feats, frames, strict=True)
    )
    (grad,) = torch.autograd.grad(loss, wav)
    return feats, frames, grad


@pytest.mark.parametrize("fill", [0.0, 0.7, float("nan")])
@pytest.mark.parametrize("name", EVERY)
def test_alone_equals_in_a_padded_batch(upstream, name, fill):
    encoder = load_encoder(upstream(name), layers="all")
    feats, frames, grad = features_and_gradient(encoder, batch(fill), LENGTHS)
    for b, n in enumerate(LENGTHS.tolist()):
        alone, count, alone_grad = features_and_gradient(encoder, batch()[b : b + 1, :n], None)
        assert frames[b] == count[0] == alone.shape[1]
        torch.testing.assert_close(
            feats[b, :count], alone[0], rtol=1e-4, atol=1e-4 * alone.abs().mean().item()
        )
        scale = alone_grad.abs().max().item()
        torch.testing.assert_close(grad[b, :n], alone_grad[0], rtol=1e-3, atol=1e-4 * scale)
        assert not grad[b, n:].any()


@pytest.mark.parametrize("rows", [16, 128])
@pytest.mark.parametrize("name", ["hubert-base", "hubert-large", "wavlm-base", "whisper"])
def test_silence_that_fills_a_ragged_batch_changes_nothing(upstream, name, rows, monkeypatch):
    """As on a GPU; the silence may be the longest utterance."""
    encoder = load_encoder(upstream(name), layers=[0, -1], normalize_input=True)
    expected = features_and_gradient(encoder, batch(), LENGTHS)
    monkeypatch.setitem(ROWS, "cpu", rows)
    found = features_and_gradient(encoder, batch(), LENGTHS)
    assert torch.equal(found[1], expected[1]) and found[0].shape == expected[0].shape
    inside = (torch.arange(found[0].shape[1]) < found[1][:, None])[..., None]
    torch.testing.assert_close(found[0] * inside, expected[0] * inside, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-3, atol=1e-4 * expected[2].abs().max().item())


def test_the_libraries_own_batch_is_not_exact(folder):
    """What the encoder is for: GroupNorm over the padded axis (huggingface/transformers#21534)."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder("hubert")).eval()
    encoder = load_encoder(f"transformers:{folder('hubert')}")
    wav, n = batch()[2:], 1999
    mask = (torch.arange(9000) < n)[None]
    with torch.no_grad():
        theirs = model(wav, attention_mask=mask.long()).last_hidden_state
        alone = model(wav[:, :n]).last_hidden_state
    ours, frames = encoder(wav, torch.tensor([n]))
    count = frames.item()
    assert (theirs[:, :count] - alone).norm() / alone.norm() > 0.1
    assert (ours[:, :count] - alone).norm() / alone.norm() < 1e-5


@pytest.mark.parametrize("name", ["hubert-base", "hubert-large", "wavlm-base"])
def test_leading_zeros_shift_conv_frames_and_nothing_else(upstream, name):
    """With statistics over the content alone; with the pad counted, the amplitudes change as well."""
    encoder = load_encoder(upstream(name), layers="conv")
    wav, n, left = batch()[:1] + 0.05, 9000, 5 * 320
    padded = torch.nn.functional.pad(wav, (left, 3 * 320))
    span = (torch.tensor([left]), torch.tensor([left + n]))
    plain, frames = encoder(wav)
    moved, more = encoder(padded, statistics=span)
    assert more.item() == frames.item() + 8
    torch.testing.assert_close(moved[:, 5 : 5 + frames], plain, rtol=1e-4, atol=1e-5)
    counted, _ = encoder(padded)
    change = (counted[:, 5 : 5 + frames] - plain).norm() / plain.norm()
    assert change > 0.02


@pytest.mark.parametrize("name", EVERY)
def test_gradient_is_that_of_finite_differences(upstream, name):
    encoder = load_encoder(upstream(name))
    torch.manual_seed(1)
    wav = 0.1 * torch.randn(1, 2000)
    direction = torch.randn(1, 2000)
    direction /= direction.norm()
    weight = torch.randn(encoder(wav)[0].shape)

    def value(x):
        return (encoder(x)[0] * weight).sum()

    wav.requires_grad_()
    (grad,) = torch.autograd.grad(value(wav), wav)
    step = 1e-2
    numeric = (value(wav + step * direction) - value(wav - step * direction)) / (2 * step)
    assert grad.norm() > 0
    torch.testing.assert_close((grad * direction).sum(), numeric, rtol=0.05, atol=0.02 * grad.norm().item())
