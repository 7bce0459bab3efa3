"""Gradients: finite differences, one side only, second derivatives, more than one backward pass."""

import pytest
import torch

from espnet_posinv.softdtw import soft_dtw, soft_dtw_divergence
from espnet_posinv.softdtw.cpu import kernels as cpu

GAMMAS = (1e-3, 1e-2, 0.1, 1.0, 10.0)


def random(*shape, seed=0):
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).requires_grad_()


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 1, 6), (2, 6, 1), (1, 1, 1)])
def test_gradient_by_costs(shape, gamma):
    cost = random(*shape)
    ragged = {"x_lengths": [shape[1], max(1, shape[1] - 2)][: shape[0]], "y_lengths": [shape[2]] * shape[0]}
    for options in ({}, ragged, {"band": 1}):
        assert torch.autograd.gradcheck(
            lambda c, options=options: soft_dtw(cost=c, gamma=gamma, **options), (cost,), eps=1e-6, atol=1e-5
        )


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence])
def test_gradient_by_frames(function, distance, gamma):
    x, y = random(2, 5, 3), random(2, 4, 3, seed=1)
    options = {"gamma": gamma, "distance": distance, "x_lengths": [5, 2], "y_lengths": [3, 4]}
    assert torch.autograd.gradcheck(lambda a, b: function(a, b, **options), (x, y), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("sizes", [(1, 4), (4, 1), (3, 5)])
def test_gradient_of_normalised_frames_in_a_band(sizes):
    x, y = random(1, sizes[0], 3), random(1, sizes[1], 3, seed=1)
    options = {"normalize_frames": True, "band": 1}
    assert torch.autograd.gradcheck(lambda a, b: soft_dtw_divergence(a, b, **options), (x, y), atol=1e-5)


def test_gradient_across_strips():
    """Directional derivative of 150 x 140 cells, several strips in float64."""
    cost, step = random(1, 150, 140), random(1, 150, 140, seed=1).detach()
    (gradient,) = torch.autograd.grad(soft_dtw(cost=cost, gamma=0.5).sum(), cost)
    h = 1e-5
    difference = soft_dtw(cost=cost + h * step, gamma=0.5) - soft_dtw(cost=cost - h * step, gamma=0.5)
    assert (gradient * step).sum().item() == pytest.approx(difference.item() / (2 * h), rel=1e-7)


@pytest.mark.parametrize("function", [soft_dtw, soft_dtw_divergence])
def test_one_side_only(monkeypatch, function):
    """The target's side gets no gradient, and for a divergence its own alignment is not even computed."""
    asked = []
    original = cpu.backward

    def backward(problem, state, seeds, wanted=(True,)):
        asked.append(list(wanted))
        return original(problem, state, seeds, wanted)

    monkeypatch.setattr(cpu, "backward", backward)
    x, y = random(2, 70, 3), random(2, 66, 3, seed=1)
    both = torch.autograd.grad(function(x, y).sum(), (x, y))
    (only_x,) = torch.autograd.grad(function(x, y.detach()).sum(), x)
    (only_y,) = torch.autograd.grad(function(x.detach(), y).sum(), y)
    assert torch.equal(only_x, both[0]) and torch.equal(only_y, both[1])
    count = 3 if function is soft_dtw_divergence else 1
    assert asked == [w[:count] for w in ([True, True, True], [True, True, False], [True, False, True])]


def test_nothing_is_kept_without_gradient(monkeypatch):
    kept = []
    original = cpu.forward

    def forward(problem, keep):
        kept.append(keep)
        return original(problem, keep)

    monkeypatch.setattr(cpu, "forward", forward)
    x, y = random(1, 5, 3), random(1, 5, 3, seed=1)
    soft_dtw(x.detach(), y.detach())
    with torch.no_grad():
        soft_dtw(cost=x)
    soft_dtw(x, y)
    assert kept == [False, False, True]


def test_weights_of_the_losses():
    x, y = random(3, 10, 3), random(3, 8, 3, seed=1)
    weights = torch.tensor([0.0, -2.0, 0.5], dtype=torch.float64)
    each = [torch.autograd.grad(soft_dtw_divergence(x, y)[b], x)[0] for b in range(3)]
    (got,) = torch.autograd.grad((weights * soft_dtw_divergence(x, y)).sum(), x)
    torch.testing.assert_close(got, sum(w * g for w, g in zip(weights, each, strict=True)))


def test_backward_twice():
    x, y = random(2, 70, 3), random(2, 66, 3, seed=1)
    loss = soft_dtw_divergence(x, y).sum()
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    (second,) = torch.autograd.grad(loss, x)
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: soft_dtw(x, y),
        lambda x, y: soft_dtw_divergence(x, y),
        lambda x, y: soft_dtw(cost=(x @ y.mT).square()),
    ],
)
@pytest.mark.parametrize("weight", [1.0, torch.ones((), dtype=torch.float64, requires_grad=True)])
def test_a_second_derivative_raises(loss, weight):
    """A gradient penalty must not be constant in silence; the loss may be weighed by a parameter or not."""
    x, y = random(2, 5, 3), random(2, 4, 3, seed=1)
    value = weight * loss(x, y).sum()
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    torch.testing.assert_close(gradient.detach(), torch.autograd.grad(loss(x, y).sum(), x)[0])
    with pytest.raises(RuntimeError, match="second derivative is not implemented"):
        (value + gradient.square().sum()).backward()


def test_inputs_changed_in_place_are_noticed():
    cost = random(1, 5, 4)
    inner = cost * 1
    loss = soft_dtw(cost=inner)
    inner += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.sum().backward()
    x, y = random(1, 5, 3), random(1, 4, 3, seed=1)
    (expected,) = torch.autograd.grad(soft_dtw(x, y).sum(), x)
    inner = x * 1
    loss = soft_dtw(inner, y)
    inner += 1  # the frames that are saved are copies
    assert torch.equal(torch.autograd.grad(loss.sum(), x)[0], expected)
