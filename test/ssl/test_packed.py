"""What computes packed utterances, against PyTorch's own modules and each utterance alone, in float64."""

import pytest
import torch
from torch import nn

from espnet_posinv.ssl import products
from espnet_posinv.ssl.first_layer import between, normalised_convolution
from espnet_posinv.ssl.masking import masked_standardise, span_mask
from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.positions import PositionConv

CPU = torch.device("cpu")


def frozen(module):
    """In float64, no weight as it was initialised."""
    torch.manual_seed(0)
    for p in module.double().parameters():
        p.requires_grad_(False).add_(0.2 * torch.randn_like(p))
    return module


def check(got, expected, inputs, **tolerance):
    """Values and gradients of a random weighting."""
    weight = torch.randn(expected.shape, dtype=expected.dtype)
    torch.testing.assert_close(got, expected, **tolerance)
    grads = [torch.autograd.grad((y * weight).sum(), inputs)[0] for y in (got, expected)]
    torch.testing.assert_close(*grads, **tolerance)


@pytest.mark.parametrize("lengths", [[3, 1, 4], [2, 2]])
def test_packed_rows_come_back_with_zeros_behind(lengths):
    packing = Packing(lengths, CPU)
    x = torch.randn(len(lengths), max(lengths), 5)
    rows = packing.pack(x)
    assert torch.equal(rows, torch.cat([row[:n] for row, n in zip(x, lengths, strict=True)]))
    assert torch.equal(packing.unpack(rows), x * packing.mask[..., None])
    assert packing.starts.tolist() == [0, *torch.tensor(lengths).cumsum(0).tolist()]
    expected = torch.stack([part.sum(0) for part in rows.split(lengths)])
    torch.testing.assert_close(packing.sums(rows), expected)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size, stride", [(10, 5), (3, 2), (2, 2), (3, 1), (7, 2), (2, 3)])
def test_a_strided_product_is_the_convolution(size, stride, bias):
    conv = frozen(nn.Conv1d(4, 6, size, stride, bias=bias))
    x = torch.randn(12 * stride, 4, dtype=torch.double, requires_grad=True)
    expected = conv(x.t()[None])[0].t()
    got = products.convolve(x, conv)
    assert len(got) == 12
    check(got[: len(expected)], expected, x)


@pytest.mark.parametrize("taps", [16, 128, 5, 9])
def test_the_position_convolution_sees_zeros_around_each_utterance(taps):
    conv = frozen(PositionConv(24, taps, 4))
    lengths = [50, 3, 17, 8, 1]
    x = torch.randn(sum(lengths), 24, dtype=torch.double, requires_grad=True)
    alone = [nn.Conv1d.forward(conv, part.t()[None])[0, :, : len(part)].t() for part in x.split(lengths)]
    check(conv(x, Packing(lengths, CPU)), torch.cat(alone), x)


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_the_first_layer_is_convolution_and_groupnorm_of_the_utterance_alone(offset):
    """Statistics over a span of it; samples far from zero, where the covariance loses most digits."""
    conv, norm = frozen(nn.Conv1d(1, 6, 10, 5)), frozen(nn.GroupNorm(6, 6))
    blocks = Packing([3, 1, 2], CPU)
    row = (torch.randn(6 * 320, dtype=torch.double) + offset).requires_grad_()
    spans = torch.tensor([0, 0, 40]), torch.tensor([190, 62, 120])
    got = normalised_convolution(row, blocks, between(blocks, *spans, 64), conv, norm, torch.double)
    expected, inside = [], []
    for part, y, start, stop in zip(
        row.split([960, 320, 640]), got.split([192, 64, 128]), *spans, strict=True
    ):
        expected.append(norm(conv(part[None, None])[..., start:stop])[0].t())
        inside.append(y[start:stop])
    check(torch.cat(inside), torch.cat(expected), row, rtol=1e-5, atol=1e-5)  # the kernel is float32


def test_weights_are_laid_out_once_and_again_when_they_change():
    conv = nn.Conv1d(3, 2, 4)

    def laid_out():
        return products.prepared(conv.weight, torch.bfloat16, products.taps_first)

    first = laid_out()
    assert laid_out() is first
    conv.load_state_dict({k: v + 1 for k, v in conv.state_dict().items()})
    assert torch.equal(laid_out(), conv.weight.permute(2, 1, 0).reshape(12, 2).bfloat16())


def test_standardising_ignores_what_lies_outside():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 100, generator=random)
    mask = span_mask(torch.tensor([0, 0]), torch.tensor([60, 100]), 100)
    got = masked_standardise(x.masked_fill(~mask, 1e4), mask, 1e-7)
    for b, n in enumerate((60, 100)):
        alone = x[b, :n].double()
        expected = (alone - alone.mean()) / (alone.var(correction=0) + 1e-7).sqrt()
        torch.testing.assert_close(got[b, :n].double(), expected, rtol=1e-5, atol=1e-6)
