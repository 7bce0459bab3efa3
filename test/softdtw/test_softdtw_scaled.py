"""Tiles in plain doubles (`scaled.py`): the same E as by mantissas and exponents, also where the two meet."""

import pytest
import torch
from torch import Tensor

from espnet_posinv.softdtw import cpu, soft_alignment, soft_dtw

GAMMA = 0.1
LARGEST = cpu.LOWEST / 16 * GAMMA / 1.4427  # what a tile in doubles may have at most, about 4.02


@pytest.fixture
def without_doubles(monkeypatch):
    """Call it: from then on all tiles are computed by mantissas and exponents."""

    def switch():
        monkeypatch.setattr(cpu, "LOWEST", 0)
        cpu._arithmetic.cache_clear()

    yield switch
    cpu._arithmetic.cache_clear()


def error(cost: Tensor, exact) -> float:
    _, E = exact(cost, GAMMA)
    return (soft_alignment(cost=cost, gamma=GAMMA).double() - E).abs().max().item()


def with_a_step(cost):
    """The row above the first strip's end is far below its left end: no path leads there but a long one."""
    cost[:, 20:80, 30:] = LARGEST
    cost[:, 20, 30:] = 0.0


def with_a_run(cost):
    """Along row 40 all is free, elsewhere everything costs: neighbouring rows are soon far apart."""
    cost[:] = 4.0
    cost[:, 40] = 0.0


def with_outliers(cost):
    cost[:, 70, 10] = 9.0
    cost[:, 10, 120] = 1e6


def with_gains(cost):
    cost[:] = -4.0


def with_a_wall(cost):
    """Row 30 opens at its end only: what is below is out of reach, and then in reach again."""
    cost[:, 30, :-3] = torch.inf


@pytest.mark.parametrize(
    "shape",
    [
        (1, 64, 450),
        (1, 64, 1),
        (1, 1, 257),
        (2, 65, 2),
        (1, 49, 16),
        (1, 48, 18),
        (1, 130, 194),
        (3, 100, 40),
    ],
)
def test_tiles_groups_and_segments_end_anywhere(random_costs, exact, shape):
    """Also a last tile of a single step, and strips of fewer rows than a group has."""
    assert error(4 * random_costs(*shape) / random_costs(*shape).max(), exact) <= 2e-6


@pytest.mark.parametrize("change", [with_a_step, with_a_run, with_outliers, with_gains, with_a_wall])
def test_tiles_that_need_exponents_beside_others(random_costs, exact, without_doubles, change):
    cost = random_costs(2, 150, 300).clamp(max=4.0)
    change(cost)
    mixed = soft_alignment(cost=cost, gamma=GAMMA)
    assert error(cost, exact) <= 5e-6
    without_doubles()
    assert error(cost, exact) <= 5e-6
    assert (mixed - soft_alignment(cost=cost, gamma=GAMMA)).abs().max() <= 5e-6


def test_doubles_are_used(random_costs, exact, without_doubles):
    """They are closer to the definition, which shows which way it went."""
    cost = random_costs(1, 400, 500).clamp(max=4.0)
    doubles = error(cost, exact)
    without_doubles()
    assert doubles < error(cost, exact) / 2


@pytest.mark.parametrize("seed", [1e30, -3.0, 0.0])
def test_any_incoming_gradient(random_costs, seed):
    cost = random_costs(1, 100, 90).requires_grad_()
    (grad,) = torch.autograd.grad(soft_dtw(cost=cost, gamma=GAMMA), cost, torch.tensor([seed]))
    assert torch.equal(grad, seed * soft_alignment(cost=cost, gamma=GAMMA))
