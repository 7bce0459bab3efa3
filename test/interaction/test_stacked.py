"""Several NSNet2s as one: every model is what it is alone, with its gradient."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "egs2/mini_debian/enh1/local"))

from interaction.stacked import Recurrence, Stacked  # noqa: E402

from espnet_posinv.enh.nsnet2 import NSNet2Separator  # noqa: E402

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch, steps, size", [(1, 1, 1), (2, 7, 5), (3, 40, 16)])
def test_a_recurrence_is_that_of_torch(device, batch, steps, size):
    torch.manual_seed(size)
    layers = [nn.GRU(size + 1, size).double().to(device) for _ in range(3)]
    x = torch.randn(3, steps, batch, size + 1, dtype=torch.float64, device=device)
    x[1] *= 30  # gates at their ends
    target = torch.randn(3, steps, batch, size, dtype=torch.float64, device=device)
    expected = torch.stack([layer(part)[0] for layer, part in zip(layers, x, strict=True)])
    names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0", "bias_hh_l0")
    wanted = torch.autograd.grad(
        (expected * target).sum(), [getattr(layer, name) for name in names for layer in layers]
    )
    w_ih, b_ih, w_hh, b_hh = (
        torch.stack([getattr(layer, name).detach() for layer in layers]).requires_grad_() for name in names
    )
    a = torch.einsum("mnbi,mgi->nmbg", x, w_ih) + b_ih[:, None]
    found = Recurrence.apply(a.reshape(steps, 3 * batch, -1), w_hh, b_hh[:, None])
    found = found.view(steps, 3, batch, size).transpose(0, 1)
    torch.testing.assert_close(found, expected)
    grads = torch.autograd.grad((found * target).sum(), [w_ih, b_ih, w_hh, b_hh])
    torch.testing.assert_close(
        torch.cat([g.flatten() for g in grads]), torch.cat([g.flatten() for g in wanted])
    )


def same(found, expected):
    """On a GPU both compute in TF32, in another order."""
    if found.is_cuda:
        assert (found - expected).norm() < 1e-2 * expected.norm()
    else:
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def models(count):
    torch.manual_seed(0)
    return [NSNet2Separator(1, n_fft=32, gru_size=12, linear_size=10) for _ in range(count)]


@pytest.mark.parametrize("device", DEVICES)
def test_stacked_models_are_the_models_with_their_clipped_gradients(device):
    alone = [model.to(device) for model in models(4)]
    stacked = Stacked(models(1)[0], 4, 2, 320, device)
    with torch.no_grad():
        for stack, *each in zip(stacked.parameters(), *(m.parameters() for m in alone), strict=True):
            stack.copy_(torch.stack(each))
    noisy = 0.1 * torch.randn(4, 320, device=device)  # two parts, for two models each
    lengths = torch.full((2,), 320, device=device)
    parts = [*noisy.split(2), *noisy.split(2)]
    for _ in range(2):  # on a GPU: recorded once, run twice
        expected = torch.cat([model(x, lengths)[0][0] for model, x in zip(alone, parts, strict=True)])
        found = stacked(noisy)
        same(found, expected)
        target = (
            torch.randn_like(found)
            * torch.tensor([1e-3, 1.0, 1.0, 30.0], device=device).repeat_interleave(2)[:, None]
        )
        for model in alone:
            model.zero_grad()
        for p in stacked.parameters():
            p.grad = None
        (expected * target).sum().backward()
        found.backward(target)
        norms = [nn.utils.clip_grad_norm_(model.parameters(), 0.5) for model in alone]
        assert norms[0] < 0.5 < norms[3]
        stacked.clip(0.5)
        for stack, *each in zip(stacked.parameters(), *(m.parameters() for m in alone), strict=True):
            same(stack.grad, torch.stack([p.grad for p in each]))
    assert stacked.state(2).keys() == dict(alone[2].named_parameters()).keys()
    torch.testing.assert_close(stacked.state(2)["gru.weight_hh_l1"], alone[2].gru.weight_hh_l1.detach())
