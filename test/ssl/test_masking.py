"""Statistics over the inside alone, and the position convolution by spectra, against plain ones."""

import pytest
import torch
from torch import nn

from espnet_posinv.ssl.masking import masked_channel_norm, masked_standardise, span_mask
from espnet_posinv.ssl.wav2vec2 import far


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_a_channel_norm_is_that_of_the_utterance_alone(offset):
    """Whatever stands in the padding; the float64 norm of the inside is the oracle, gradients included."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 300, generator=random) + offset
    start, stop = torch.tensor([0, 40]), torch.tensor([120, 300])
    mask = span_mask(start, stop, 300)[:, None]
    norm = nn.GroupNorm(4, 4)
    nn.init.normal_(norm.weight, generator=random)
    nn.init.normal_(norm.bias, generator=random)
    x = x.masked_fill(~mask, 1e4).requires_grad_()
    got = masked_channel_norm(x, mask, norm)
    weight = torch.randn(got.shape, generator=random)
    (got * weight * mask).sum().backward()
    for b in range(2):
        inside = slice(start[b], stop[b])
        alone = x.detach()[b : b + 1, :, inside].double().requires_grad_()
        expected = norm.double()(alone)
        (expected * weight[b : b + 1, :, inside]).sum().backward()
        torch.testing.assert_close(got[b : b + 1, :, inside].double(), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(x.grad[b : b + 1, :, inside].double(), alone.grad, rtol=1e-5, atol=1e-6)
        norm.float()
    assert (x.grad.masked_fill(mask, 0.0) == 0).all()


def test_standardising_ignores_what_lies_outside():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 100, generator=random)
    mask = span_mask(torch.tensor([0, 0]), torch.tensor([60, 100]), 100)
    got = masked_standardise(x.masked_fill(~mask, 1e4), mask, 1e-7)
    for b, n in enumerate((60, 100)):
        alone = x[b, :n].double()
        expected = (alone - alone.mean()) / (alone.var(correction=0) + 1e-7).sqrt()
        torch.testing.assert_close(got[b, :n].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [8, 128])  # shorter and longer than the signal
def test_far_convolution_is_the_grouped_convolution(size):
    torch.manual_seed(0)
    conv = nn.Conv1d(24, 24, size, padding=size // 2, groups=6)
    x = torch.randn(2, 24, 50)
    torch.testing.assert_close(far(conv, x), conv(x)[..., :50], rtol=1e-5, atol=1e-5)
