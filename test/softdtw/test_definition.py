"""The float64 definition against sums over all paths, and what follows from it."""

import numpy as np
import pytest
import torch

from espnet_posinv.softdtw.reference import forward_backward

GAMMAS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_it_is_the_sum_over_all_paths(exact, brute_force, random_costs, small_size, gamma):
    cost = random_costs(1, *small_size, dtype=torch.float64) - 1.5
    loss, E = exact(cost, gamma)
    expected_loss, expected_E = brute_force(cost[0], gamma)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-12, abs=1e-12 * gamma)
    np.testing.assert_allclose(E[0], expected_E, rtol=0, atol=1e-11)


@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_band_forbids_cells(exact, brute_force, random_costs, in_band, small_size, band):
    cost = random_costs(1, *small_size, dtype=torch.float64)
    forbidden = cost[0].clone()
    for i, j in np.ndindex(*small_size):
        if not in_band(i, j, *small_size, band):
            forbidden[i, j] = torch.inf
    loss, E = exact(cost, 0.3, band=band)
    expected_loss, expected_E = brute_force(forbidden, 0.3)
    assert np.isfinite(expected_loss)  # a path is always left
    assert loss.item() == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(E[0], expected_E, rtol=0, atol=1e-12)


def test_forbidden_cells(exact, brute_force, random_costs):
    cost = random_costs(1, 4, 4, dtype=torch.float64)
    cost[0, 1, 1:3] = torch.inf
    loss, E = exact(cost, 0.5)
    expected_loss, expected_E = brute_force(cost[0], 0.5)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(E[0], expected_E, rtol=0, atol=1e-12)
    assert (E[0, 1, 1:3] == 0).all()


def test_no_path_left(exact, random_costs):
    cost = random_costs(1, 4, 4)
    cost[0, 2] = torch.inf
    loss, E = exact(cost, 0.5)
    assert loss.item() == np.inf and (E == 0).all()


def test_large_lengths_need_no_special_care(exact):
    """Constant costs: R counts paths, and their number (Delannoy) grows by 3 + 2 sqrt 2 per diagonal cell."""
    n = 300
    loss, _ = exact(torch.zeros(1, n, n), 1.0)
    shorter, _ = exact(torch.zeros(1, n - 1, n - 1), 1.0)
    assert (shorter - loss).item() == pytest.approx(np.log(3 + 2 * np.sqrt(2)), rel=2e-3)


def test_seed_scales_the_gradient(random_costs):
    cost = random_costs(5, 6, dtype=torch.float64).numpy()
    one, three = np.empty_like(cost), np.empty_like(cost)
    forward_backward(cost, 5, 6, 0.1, -1, 1.0, one)
    forward_backward(cost, 5, 6, 0.1, -1, 3.0, three)
    np.testing.assert_allclose(three, 3 * one, rtol=1e-12)
