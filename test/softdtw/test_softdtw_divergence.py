"""The divergence: its three terms, its minimum, symmetry."""

import pytest
import torch

from espnet_posinv.softdtw import soft_dtw, soft_dtw_divergence


def frames(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("options", [{}, {"band": 7}, {"distance": "cosine", "gamma": 1.0}])
def test_it_is_made_of_three_soft_dtw(options):
    """Across strips, ragged: values and gradients of both sides."""
    x, y = frames(3, 150, 4).requires_grad_(), frames(3, 70, 4, seed=1).requires_grad_()
    a, b = [150, 64, 3], [1, 70, 65]

    def terms(x, y):
        return (
            soft_dtw(x, y, x_lengths=a, y_lengths=b, **options)
            - soft_dtw(x, x, x_lengths=a, y_lengths=a, **options) / 2
            - soft_dtw(y, y, x_lengths=b, y_lengths=b, **options) / 2
        )

    got = soft_dtw_divergence(x, y, x_lengths=a, y_lengths=b, **options)
    expected = terms(x, y)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
    weights = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    gradients = [torch.autograd.grad((weights * v).sum(), (x, y)) for v in (got, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_of_equal_sequences_it_is_zero_and_smallest(dtype, tolerance):
    x = frames(2, 130, 8, dtype=dtype).requires_grad_()
    loss = soft_dtw_divergence(x, x.detach())
    torch.testing.assert_close(loss, torch.zeros(2, dtype=dtype), rtol=0, atol=tolerance)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert gradient.abs().max() < 10 * tolerance
    for step in (1e-2, 0.1, 1.0):
        assert (soft_dtw_divergence(x + step * frames(2, 130, 8, seed=1, dtype=dtype), x) > 0).all()


def test_soft_dtw_itself_is_neither():
    x = frames(1, 50, 4).requires_grad_()
    loss = soft_dtw(x, x.detach(), gamma=1.0)
    assert loss < 0
    assert torch.autograd.grad(loss.sum(), x)[0].abs().max() > 1e-3


def test_it_is_symmetric():
    x, y = frames(2, 90, 4), frames(2, 70, 4, seed=1)
    torch.testing.assert_close(soft_dtw_divergence(x, y), soft_dtw_divergence(y, x), rtol=1e-12, atol=1e-12)


def test_nan_touches_only_its_pair():
    x, y = frames(3, 70, 4).requires_grad_(), frames(3, 65, 4, seed=1)
    clean = soft_dtw_divergence(x, y)
    broken = x.detach().clone()
    broken[1, 69, 0] = torch.nan
    broken.requires_grad_()
    loss = soft_dtw_divergence(broken, y)
    loss.sum().backward()
    assert loss.isnan().tolist() == [False, True, False]
    assert torch.equal(loss[[0, 2]], clean[[0, 2]])
    assert broken.grad[1].isnan().all() and torch.isfinite(broken.grad[[0, 2]]).all()
