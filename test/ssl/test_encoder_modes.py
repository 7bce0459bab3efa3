"""Nothing that one of PyTorch's modes makes is kept for what comes after it."""

from contextlib import suppress

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from espnet_posinv.ssl import load_encoder

LENGTHS = torch.tensor([6000, 4000])


@pytest.fixture
def load(make_model, tmp_path):
    make_model("hubert", "base").save_pretrained(tmp_path)
    return lambda: load_encoder(
        f"transformers:{tmp_path}"
    )  # anew each time: weights keep what is made of them


def features_and_gradient(encoder, run=None):
    wav = torch.randn(2, 6000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    features = (encoder if run is None else run)(wav, LENGTHS)[0]
    features.square().sum().backward()
    return features.detach(), wav.grad


def inference_mode(encoder):
    with torch.inference_mode():
        encoder(torch.zeros(2, 6000), LENGTHS)


def fake_tensors(encoder):
    with FakeTensorMode(allow_non_fake_inputs=True):
        encoder(torch.zeros(2, 6000), LENGTHS)


def meta_device(encoder):
    with torch.device("meta"), suppress(NotImplementedError):  # it may fail, and must leave nothing behind
        encoder(torch.zeros(2, 6000, device="cpu"), LENGTHS)


@pytest.mark.parametrize("before", [inference_mode, fake_tensors, meta_device])
def test_training_after_a_mode(load, before):
    expected, encoder = features_and_gradient(load()), load()
    before(encoder)
    for found, right in zip(features_and_gradient(encoder), expected, strict=True):
        torch.testing.assert_close(found, right)


def test_compiled_it_gives_the_same(load):
    encoder = load()
    expected = features_and_gradient(encoder)
    for found, right in zip(features_and_gradient(encoder, torch.compile(encoder)), expected, strict=True):
        torch.testing.assert_close(found, right)
