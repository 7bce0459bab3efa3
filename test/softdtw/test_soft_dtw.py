"""Values of the public functions on the CPU against sums over all paths and against the definition."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from espnet_posinv.softdtw import soft_alignment, soft_dtw, soft_dtw_divergence
from espnet_posinv.softdtw.exponents import exp2_coefficients

EPS = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}


def loss_and_gradient(cost, **options):
    cost = cost.detach().requires_grad_()
    loss = soft_dtw(cost=cost, **options)
    return loss.detach(), torch.autograd.grad(loss.sum(), cost)[0]


def assert_exact(cost, exact, gamma, x_lengths=None, y_lengths=None, band=None):
    """Loss and gradient against the definition; rounding grows with steps and gamma, not with R.

    The definition is float64 in R itself.  A step rounds R twice (softmin, sum with the cost), each by up to
    |R| 2^-53, and a weight is exp of the difference of two R over gamma: it errs by up to |R| / gamma 2^-51.
    |R| is at most the steps times the largest cost plus gamma log(number of paths), which is less than
    gamma log 3 a step.  Weights along a path do not all err to one side: E errs by a quarter of this at most,
    as far as was seen.
    """
    options = {"gamma": gamma, "x_lengths": x_lengths, "y_lengths": y_lengths, "band": band}
    loss, E = loss_and_gradient(cost, **options)
    expected_loss, expected_E = exact(cost, gamma, x_lengths, y_lengths, band)
    eps, steps = EPS[cost.dtype], sum(cost.shape[1:])
    assert loss.dtype == cost.dtype and E.dtype == cost.dtype
    for b in range(len(cost)):
        largest = cost[b][cost[b].isfinite()].abs().max().item()
        rounding = min(steps * (largest / gamma + math.log(3)) * 2.0**-51, 1e-3)
        atol = gamma * (8 * steps + 8) * eps + steps * largest * 2.0**-52
        torch.testing.assert_close(loss[b].double(), expected_loss[b], rtol=2 * eps, atol=atol)
        tolerance = (40 + 0.2 * steps) * eps + rounding
        torch.testing.assert_close(E[b].double(), expected_E[b], rtol=0, atol=tolerance)
    return loss, E


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3])
def test_sum_over_all_paths(brute_force, random_costs, small_size, gamma, dtype):
    cost = random_costs(1, *small_size, dtype=dtype) - 1.5
    loss, E = loss_and_gradient(cost, gamma=gamma)
    expected_loss, expected_E = brute_force(cost[0], gamma)
    eps = EPS[dtype]
    # The sum over paths itself is float64: its weights exp(-s / gamma) carry s's rounding, times 1 / gamma.
    assert loss.item() == pytest.approx(expected_loss, rel=16 * eps, abs=30 * gamma * eps + 1e-14)
    np.testing.assert_allclose(E[0].double(), expected_E, rtol=0, atol=40 * eps + 1e-14 / gamma)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_of_two(dtype):
    """Against 2^f in 40 digits; the coefficients are rounded to the format's numbers."""
    mantissa_bits = np.finfo(dtype).nmant
    coefficients = [Decimal(float(dtype(c))) for c in exp2_coefficients(mantissa_bits)]
    with localcontext() as context:
        context.prec = 40
        for f in np.linspace(-0.5, 0.5, 200):
            polynomial = sum(c * Decimal(f) ** k for k, c in enumerate(coefficients))
            error = float(polynomial / Decimal(2) ** Decimal(f) - 1)
            assert abs(error) < 0.35 * 2.0 ** -(mantissa_bits + 1)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_shape(exact, data):
    batch = data.draw(st.integers(1, 4), "batch")
    n, m = (data.draw(st.integers(1, 15) | st.integers(50, 150), name) for name in "nm")
    x_lengths = data.draw(st.lists(st.integers(1, n), min_size=batch, max_size=batch), "x_lengths")
    y_lengths = data.draw(st.lists(st.integers(1, m), min_size=batch, max_size=batch), "y_lengths")
    band = data.draw(st.none() | st.integers(0, 20), "band")
    gamma = data.draw(st.sampled_from([1e-3, 0.02, 0.1, 1.0, 10.0]), "gamma")
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]), "dtype")
    largest = data.draw(st.sampled_from([1e-6, 4.0, 100.0]), "largest")
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99), "seed"))
    cost = largest * (torch.rand(batch, n, m, generator=generator, dtype=dtype) - 0.3)
    for b in range(batch):
        cost[b, x_lengths[b] :] = torch.nan
        cost[b, :, y_lengths[b] :] = torch.nan
    _, E = assert_exact(cost, exact, gamma, x_lengths, y_lengths, band)
    for b in range(batch):
        assert (E[b, x_lengths[b] :] == 0).all() and (E[b, :, y_lengths[b] :] == 0).all()


def test_published_values():
    """Zeros (5, 10, 8) and ones (5, 12, 8), gamma 1; the last number is the divergence."""
    x, y = torch.zeros(5, 10, 8), torch.ones(5, 12, 8)
    for value, expected in (
        (soft_dtw(x, y, gamma=1.0), 91.9806137),
        (soft_dtw(x, x, gamma=1.0), -14.1957006),
        (soft_dtw_divergence(x, y, gamma=1.0), 107.89006805),
    ):
        torch.testing.assert_close(value, torch.full((5,), expected), rtol=1e-7, atol=0)


def hard_dtw(cost):
    R = np.full(np.add(cost.shape, 1), np.inf)
    R[0, 0] = 0
    for i, j in np.ndindex(*cost.shape):
        R[i + 1, j + 1] = cost[i, j] + min(R[i, j], R[i, j + 1], R[i + 1, j])
    return R[-1, -1]


def test_small_gamma_is_dtw(random_costs):
    cost = random_costs(2, 60, 80)
    expected = [hard_dtw(c) for c in cost.double().numpy()]
    loss, E = loss_and_gradient(cost, gamma=1e-6)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert ((E == 0) | (E > 0.999)).all()  # the one best path


@pytest.mark.parametrize("shape", [(2, 1, 70), (2, 70, 1), (3, 1, 1)])
def test_a_single_row_or_column_is_a_sum(random_costs, shape):
    cost = random_costs(*shape)
    loss, E = loss_and_gradient(cost)
    torch.testing.assert_close(loss.double(), cost.double().sum((1, 2)), rtol=1e-6, atol=0)
    assert (E == 1).all()


def test_strided_and_transposed_costs(random_costs, exact):
    base = random_costs(3, 140, 260)
    for cost in (
        base.mT,
        base[:, ::2, 1::3],
        base.flip(2),
        base.transpose(0, 1)[:3],
        base[:1].expand(3, -1, -1),
    ):
        loss, E = loss_and_gradient(cost)
        expected, expected_E = loss_and_gradient(cost.contiguous())
        assert torch.equal(loss, expected) and torch.equal(E, expected_E)
    assert_exact(base.mT, exact, 0.1)


def test_lengths_are_cropping(random_costs):
    """Bit by bit what the pair gives alone, whatever stands in the padding and beside it."""
    x_lengths, y_lengths = [100, 63, 64, 1], [1, 90, 128, 130]
    cost = random_costs(4, 100, 130)
    for b in range(4):
        cost[b, x_lengths[b] :] = torch.nan
        cost[b, :, y_lengths[b] :] = -torch.inf
    for dtype in (torch.int64, torch.int32, torch.uint8):
        lengths = {"x_lengths": torch.tensor(x_lengths, dtype=dtype), "y_lengths": np.array(y_lengths)}
        loss, E = loss_and_gradient(cost, **lengths)
        for b, (n, m) in enumerate(zip(x_lengths, y_lengths, strict=True)):
            alone, alone_E = loss_and_gradient(cost[b : b + 1, :n, :m])
            assert torch.equal(loss[b], alone[0]) and torch.equal(E[b, :n, :m], alone_E[0])
            assert (E[b, n:] == 0).all() and (E[b, :, m:] == 0).all()


def test_padded_frames_may_be_anything():
    x, y = (torch.randn(3, n, 8, generator=torch.Generator().manual_seed(n)) for n in (50, 40))
    x_lengths, y_lengths = [50, 20, 7], [33, 40, 1]
    options = {"x_lengths": x_lengths, "y_lengths": y_lengths, "normalize_frames": True}
    for function in (soft_dtw, soft_dtw_divergence):
        results = []
        for poison in (0.0, torch.nan, torch.inf, 1e30):
            a, b = x.clone(), y.clone()
            for i in range(3):
                a[i, x_lengths[i] :], b[i, y_lengths[i] :] = poison, poison
            a.requires_grad_(), b.requires_grad_()
            loss = function(a, b, **options)
            loss.sum().backward()
            results.append((loss.detach(), a.grad, b.grad))
        for result in results:
            assert all(map(torch.equal, result, results[0]))
        for i in range(3):
            assert (results[1][1][i, x_lengths[i] :] == 0).all()
            assert (results[1][2][i, y_lengths[i] :] == 0).all()
            alone = function(
                x[i : i + 1, : x_lengths[i]], y[i : i + 1, : y_lengths[i]], normalize_frames=True
            )
            torch.testing.assert_close(results[0][0][i], alone[0], rtol=1e-5, atol=1e-5)


def test_nan_and_infinities_stay_in_their_pair(random_costs, exact):
    cost = random_costs(6, 90, 80)
    clean, clean_E = loss_and_gradient(cost)
    cost[1, 40, 50] = torch.nan
    cost[2, 70] = torch.inf  # no path left
    cost[3, 3, 3] = -torch.inf
    cost[4, 10:60, 20:50] = torch.inf  # a hole to walk around
    loss, E = loss_and_gradient(cost)
    assert loss.isnan().tolist() == [False, True, False, True, False, False]
    assert loss[2] == torch.inf and (E[2] == 0).all()
    assert E[1].isnan().all() and E[3].isnan().all()
    for b in (0, 5):
        assert torch.equal(loss[b], clean[b]) and torch.equal(E[b], clean_E[b])
    assert (E[4, 10:60, 20:50] == 0).all()
    assert_exact(cost[4:5], exact, 0.1)


def test_nan_outside_of_the_band_is_not_read(random_costs, exact, in_band):
    cost = random_costs(1, 80, 120)
    poisoned = cost.clone()
    for i, j in np.ndindex(80, 120):
        if not in_band(i, j, 80, 120, 6):
            poisoned[0, i, j] = torch.nan
    for loss, expected in zip(
        loss_and_gradient(poisoned, band=6), loss_and_gradient(cost, band=6), strict=True
    ):
        assert torch.equal(loss, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("largest", [1e9, 1e30])
def test_costs_far_beyond_gamma(random_costs, exact, dtype, largest):
    """More powers of two than the integer exponents hold: the same values by a wider format."""
    cost = random_costs(2, 70, 70, dtype=dtype, largest=largest)
    cost[1] /= largest
    assert_exact(cost, exact, 0.01)


def test_costs_far_below_gamma(random_costs, exact):
    assert_exact(random_costs(1, 70, 70), exact, 1e6)


def test_distances_and_normalisation():
    x, y = (
        torch.randn(2, n, 5, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
        for n in (30, 20)
    )
    a, b = F.normalize(x, dim=-1), F.normalize(y, dim=-1)

    def squares(x, y):
        return (x[:, :, None] - y[:, None]).square().sum(-1)

    cosine = 1 - F.cosine_similarity(x[:, :, None], y[:, None], dim=-1)
    for options, cost in (
        ({}, squares(x, y)),
        ({"normalize_frames": True}, squares(a, b)),
        ({"distance": "cosine"}, cosine),
        ({"distance": "cosine", "normalize_frames": True}, cosine),
    ):
        torch.testing.assert_close(soft_dtw(x, y, **options), soft_dtw(cost=cost), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_in_float32_inside(dtype):
    x, y = (torch.randn(2, n, 16, generator=torch.Generator().manual_seed(n)).to(dtype) for n in (70, 60))
    a, b = x.clone().requires_grad_(), y.clone().requires_grad_()
    loss = soft_dtw_divergence(a, b)
    loss.sum().backward()
    full_a, full_b = x.float().requires_grad_(), y.float().requires_grad_()
    full = soft_dtw_divergence(full_a, full_b)
    full.sum().backward()
    assert loss.dtype == torch.float32 and a.grad.dtype == dtype
    assert torch.equal(loss, full) and torch.equal(a.grad, full_a.grad.to(dtype))
    assert torch.equal(b.grad, full_b.grad.to(dtype))
    cost = torch.rand(1, 20, 20).to(dtype)
    assert torch.equal(soft_dtw(cost=cost), soft_dtw(cost=cost.float()))
    mixed = soft_dtw(x, y.double())
    assert mixed.dtype == torch.float64


def test_autocast_changes_nothing():
    x, y = (
        torch.randn(2, n, 16, generator=torch.Generator().manual_seed(n)).requires_grad_() for n in (70, 60)
    )

    def results():
        loss = soft_dtw_divergence(x, y, normalize_frames=True)
        return (
            loss.detach(),
            *torch.autograd.grad(loss.sum(), (x, y)),
            soft_alignment(x, y, distance="cosine"),
        )

    expected = results()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = results()
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == torch.float32 and torch.equal(a, b)


def test_an_empty_batch():
    x, y = torch.randn(0, 5, 3, requires_grad=True), torch.randn(0, 6, 3)
    for function in (soft_dtw, soft_dtw_divergence):
        loss = function(x, y)
        assert loss.shape == (0,)
        assert torch.autograd.grad(loss.sum(), x)[0].shape == (0, 5, 3)
    assert soft_alignment(x, y).shape == (0, 5, 6)
