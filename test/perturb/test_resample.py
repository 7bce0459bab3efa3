"""Resampling: the numbers of torchaudio, lengths that are rounded up, a gradient."""

import pytest
import torch
import torchaudio

from espnet_posinv.perturb.resample import resample


@pytest.mark.parametrize(
    ("source", "target"), [(9, 10), (11, 10), (8000, 16000), (44100, 16000), (48000, 16000)]
)
@pytest.mark.parametrize("length", [1, 640, 1001])
def test_the_numbers_of_torchaudio(source, target, length):
    torch.manual_seed(0)
    x = torch.randn(2, length)
    expected = torchaudio.transforms.Resample(source, target, dtype=torch.float64).to(torch.float32)(x)
    out = resample(x, source, target)
    assert out.shape == expected.shape == (2, -(-length * target // source))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)


def test_a_tone_stays_a_tone():
    t = torch.arange(44100, dtype=torch.float64) / 44100
    out = resample(torch.sin(2 * torch.pi * 440 * t), 44100, 16000)
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(16000, dtype=torch.float64) / 16000)
    assert (out - expected)[100:-100].abs().max() < 1e-2


def test_equal_rates_and_gradients():
    x = torch.randn(3, 50, dtype=torch.float64, requires_grad=True)
    assert resample(x, 16000, 16000) is x
    assert torch.autograd.gradcheck(lambda x: resample(x, 3, 2), x)
