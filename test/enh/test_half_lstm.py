"""The LSTM in 16 bits: near torch.nn.LSTM's, values and gradients, also where float16 alone would be zero."""

import pytest
import torch

from espnet_posinv.enh.demucs import DemucsSeparator
from espnet_posinv.enh.half_lstm import half_lstm

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


def near(found, expected, error=5e-3):
    assert found.dtype == expected.dtype == torch.float32
    assert (found - expected).norm() <= error * expected.norm()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e6])
@pytest.mark.parametrize("batch, frames", [(1, 1), (3, 50), (8, 20)])
def test_values_and_gradients_of_any_size(device, scale, batch, frames):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(24, 32, num_layers=2, batch_first=True).to(device)
    x = torch.randn(batch, frames, 24, device=device, requires_grad=True)
    target = scale * torch.randn(batch, frames, 32, device=device)
    inputs = [x, *lstm.parameters()]
    expected = lstm(x)[0]
    wanted = torch.autograd.grad((expected * target).sum(), inputs)
    found = half_lstm(lstm, x)
    assert found.shape == expected.shape
    near(found, expected)
    for g, w in zip(torch.autograd.grad((found * target).sum(), inputs), wanted, strict=True):
        near(g, w)


def test_no_gradient_is_zero_and_a_broken_one_is_seen():
    lstm = torch.nn.LSTM(4, 4, batch_first=True)
    x = torch.randn(2, 5, 4, requires_grad=True)
    (found,) = torch.autograd.grad((half_lstm(lstm, x) * 0).sum(), x)
    assert torch.equal(found, torch.zeros_like(x))
    (found,) = torch.autograd.grad((half_lstm(lstm, x) * float("nan")).sum(), x)
    assert found.isnan().any()


@pytest.mark.parametrize("device", DEVICES[1:])
def test_demucs_takes_it_in_training_only(device):
    torch.manual_seed(0)
    exact, half = (DemucsSeparator(1, hidden=8, lstm_dtype=d).to(device) for d in ("float32", "float16"))
    half.load_state_dict(exact.state_dict())
    noisy, lengths = (
        0.1 * torch.randn(3, 8000, device=device),
        torch.tensor([8000, 8000, 5000], device=device),
    )
    assert not torch.equal(half.enhance(noisy, lengths), exact.enhance(noisy, lengths))
    near(half.enhance(noisy, lengths), exact.enhance(noisy, lengths))
    torch.testing.assert_close(half.eval().enhance(noisy, lengths), exact.eval().enhance(noisy, lengths))


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="lstm_dtype bfloat16: float32 or float16"):
        DemucsSeparator(1, lstm_dtype="bfloat16")
