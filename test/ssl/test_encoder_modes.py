"""Nothing that one of PyTorch's modes makes is kept for what comes after it."""

from contextlib import suppress

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from espnet_posinv.ssl import load_encoder

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LENGTHS = torch.tensor([6000, 4000])


@pytest.fixture
def encoder(random_hubert):
    return load_encoder(random_hubert(**SMALL))  # of its own in each test: weights keep what is made of them


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
    with torch.device("meta"), suppress(NotImplementedError):
        encoder(torch.zeros(2, 6000, device="cpu"), LENGTHS)


@pytest.mark.parametrize("before", [inference_mode, fake_tensors, meta_device])
def test_training_after_a_mode(encoder, random_hubert, before):
    expected = features_and_gradient(load_encoder(random_hubert(**SMALL)))
    before(encoder)
    for found, right in zip(features_and_gradient(encoder), expected, strict=True):
        torch.testing.assert_close(found, right)


def test_compiled_it_gives_the_same(encoder):
    expected = features_and_gradient(encoder)
    for found, right in zip(features_and_gradient(encoder, torch.compile(encoder)), expected, strict=True):
        torch.testing.assert_close(found, right)
