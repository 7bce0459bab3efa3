"""What other soft-DTW implementations get wrong, each as a test of ours (peers' names in docstrings)."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from espnet_posinv.softdtw import soft_dtw, soft_dtw_divergence


def loss_and_gradient(cost, **options):
    cost = cost.detach().requires_grad_()
    loss = soft_dtw(cost=cost, **options)
    return loss.detach(), torch.autograd.grad(loss.sum(), cost)[0]


@pytest.mark.parametrize("n, m", [(120, 40), (40, 120), (97, 96)])
@pytest.mark.parametrize("band", [0, 1, 10])
def test_a_band_leaves_a_path_for_other_lengths(random_costs, exact, n, m, band):
    """Maghoumi, BGU: |i - j| <= band cuts the last cell off when |N - M| > band, and the loss is inf."""
    cost = random_costs(1, n, m)
    loss, E = loss_and_gradient(cost, band=band)
    expected_loss, expected_E = exact(cost, 0.1, band=band)
    assert torch.isfinite(loss).all()
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(E.double(), expected_E, rtol=0, atol=5e-6)


def test_a_band_in_a_ragged_batch(random_costs, exact):
    """pysdtw: NaN gradients with packed lengths and a band; the band follows each pair's own diagonal."""
    x_lengths, y_lengths = [90, 70, 20, 1], [80, 33, 64, 50]
    cost = random_costs(4, 90, 80)
    loss, E = loss_and_gradient(cost, band=8, x_lengths=x_lengths, y_lengths=y_lengths)
    expected_loss, expected_E = exact(cost, 0.1, x_lengths, y_lengths, 8)
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(E.double(), expected_E, rtol=0, atol=5e-6)


@pytest.mark.parametrize("n, m", [(1025, 1025), (1500, 3), (2, 1100)])
def test_more_than_1024_frames(random_costs, exact, n, m):
    """Maghoumi, ddtw: a block has 1024 threads, so longer sequences leave the GPU or are refused."""
    cost = random_costs(1, n, m)
    loss, E = loss_and_gradient(cost)
    expected_loss, expected_E = exact(cost, 0.1)
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(E.double(), expected_E, rtol=0, atol=5e-6)


def test_float64_is_float64():
    """Maghoumi, pysdtw, tslearn cast to float32 inside: gradcheck fails."""
    cost = torch.rand(
        2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: soft_dtw(cost=c, gamma=0.05), (cost,), atol=1e-6)


def test_a_divergence_of_different_lengths():
    """Maghoumi, BGU: the three terms are stacked into one batch, which asks for N = M."""
    x, y = torch.randn(2, 30, 4).requires_grad_(), torch.randn(2, 21, 4)
    loss = soft_dtw_divergence(x, y)
    parts = soft_dtw(x, y), soft_dtw(x, x), soft_dtw(y, y)
    torch.testing.assert_close(loss, parts[0] - (parts[1] + parts[2]) / 2, rtol=1e-5, atol=1e-4)
    loss.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_a_second_derivative_is_not_silently_absent():
    """Maghoumi, BGU, pysdtw, tslearn, ddtw: a gradient penalty adds nothing, without a word."""
    cost = torch.rand(1, 5, 4).requires_grad_()
    loss = soft_dtw(cost=cost).sum()
    (E,) = torch.autograd.grad(loss, cost, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivative is not implemented"):
        (loss + E.square().sum()).backward()


def test_infinite_and_nan_cells(random_costs):
    """Log-domain loops of the peers meet inf - inf: a forbidden cell makes all gradients NaN."""
    cost = random_costs(3, 40, 40)
    cost[0, 20, 1:] = torch.inf
    cost[1, 5, 5] = torch.nan
    loss, E = loss_and_gradient(cost)
    assert torch.isfinite(loss[0]) and torch.isfinite(E[0]).all() and (E[0, 20, 1:] == 0).all()
    assert abs(E[0, 20, 0] - 1) < 1e-6  # the only way through
    assert loss[1].isnan() and E[1].isnan().all()
    assert torch.isfinite(loss[2]) and torch.isfinite(E[2]).all()


class LargestTensor(TorchDispatchMode):
    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_no_tensor_of_every_pair_and_feature(distance):
    """Maghoumi, ddtw, tslearn: x - y expanded to (B, N, M, D), 5.3 GB where 20 MB do."""
    B, N, M, D = 2, 120, 110, 64
    x, y = torch.randn(B, N, D).requires_grad_(), torch.randn(B, M, D).requires_grad_()
    with LargestTensor() as largest:
        soft_dtw_divergence(x, y, distance=distance).sum().backward()
    assert largest.numbers <= B * N * max(N, M, D)


def test_a_row_of_the_gradient_sums_to_at_least_one(bench):
    """All peers: where R / gamma is large, gradients are finite and wrong, by up to 800 at these costs."""
    cost = bench["costs"](*bench["frames"](1, 700, 650, 32), 100.0)
    _, E = loss_and_gradient(cost, gamma=1e-3)
    assert abs(E[0, 0, 0] - 1) < 1e-6 and (E > -1e-6).all() and (E < 1 + 1e-6).all()
    assert (E.sum(2) > 1 - 1e-5).all() and (E.sum(1) > 1 - 1e-5).all()
