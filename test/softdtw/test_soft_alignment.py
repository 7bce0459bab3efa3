"""The expected alignment E: probabilities, equal to the gradient."""

import torch

from espnet_posinv.softdtw import soft_alignment, soft_dtw


def test_it_is_the_gradient_by_the_costs(random_costs):
    cost = random_costs(2, 90, 70).requires_grad_()
    options = {"x_lengths": [90, 30], "y_lengths": [64, 70], "band": 20, "gamma": 0.2}
    E = soft_alignment(cost=cost, **options)
    (gradient,) = torch.autograd.grad(soft_dtw(cost=cost, **options).sum(), cost)
    assert not E.requires_grad and torch.equal(E, gradient)


def test_it_is_a_distribution_over_paths(random_costs):
    """Paths start and end at the corners, cross every row and column, and step by one cell at a time."""
    E = soft_alignment(cost=random_costs(2, 90, 70, dtype=torch.float64), gamma=0.5)
    assert (E > -1e-12).all() and (E < 1 + 1e-12).all()  # up to rounding
    one = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(E[:, 0, 0], one)
    torch.testing.assert_close(E[:, -1, -1], one)
    assert (E.sum(2) >= 1 - 1e-12).all() and (E.sum(1) >= 1 - 1e-12).all()


def test_frames_give_what_their_costs_give():
    x, y = (
        torch.randn(2, n, 6, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (40, 30)
    )
    cost = (x[:, :, None] - y[:, None]).square().sum(-1)
    torch.testing.assert_close(soft_alignment(x, y, gamma=2.0), soft_alignment(cost=cost, gamma=2.0))
    lengths = {"x_lengths": [40, 3], "y_lengths": [2, 30]}
    x[1, 3:], y[0, 2:] = torch.nan, torch.nan
    E = soft_alignment(x.requires_grad_(), y, **lengths)
    assert not E.requires_grad
    assert (E[1, 3:] == 0).all() and (E[0, :, 2:] == 0).all() and E[1, :3].sum() >= 30


def test_a_time_shift_is_seen():
    """A sequence against itself, four frames later: the mass lies on that diagonal."""
    speech = torch.randn(1, 60, 16, generator=torch.Generator().manual_seed(0))
    E = soft_alignment(speech[:, :-4], speech[:, 4:], gamma=0.1)[0]
    assert E.diagonal(-4).sum() > 50
