import itertools

import numpy as np
import pytest

from espnet_posinv.scoring import bootstrap
from espnet_posinv.scoring.bootstrap import difference_interval, rate_interval


def test_equals_enumeration_of_all_resamples():
    # 4 utterances: all 4^4 resamples, equally likely, give the exact percentiles.
    errors, words = np.array([0.0, 1.0, 5.0, 2.0]), np.array([3.0, 4.0, 6.0, 2.0])
    draws = [list(d) for d in itertools.product(range(4), repeat=4)]
    rates = np.sort([errors[d].sum() / words[d].sum() for d in draws])
    rate, low, high = rate_interval(errors, words, samples=200_000)
    assert rate == pytest.approx(8 / 15)
    exact = np.percentile(rates, [2.5, 97.5], method="inverted_cdf")
    np.testing.assert_allclose([low, high], exact, atol=0.02)


def test_equals_normal_theory_for_a_mean():
    values = np.random.default_rng(0).standard_normal(400)
    mean, low, high = rate_interval(values, np.ones(400), samples=20_000)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([mean, low, high], [values.mean(), mean - half, mean + half], atol=0.004)


def test_pairing_cancels_the_utterances_difficulty():
    rng = np.random.default_rng(1)
    difficulty = rng.integers(0, 9, 100).astype(float)
    better, words = np.maximum(difficulty - 1, 0), np.full(100, 10.0)
    difference, low, high = difference_interval(better, difficulty, words)
    assert difference == pytest.approx((better - difficulty).sum() / 1000)
    assert high < 0 and high - low < 0.02
    _, _, high1 = rate_interval(better, words)
    _, low2, _ = rate_interval(difficulty, words)
    assert high1 > low2  # the unpaired intervals overlap
    assert difference_interval(better, better, words) == (0, 0, 0)


def test_coverage():
    # In 95 % of repeated experiments the interval holds the true rate; 400 experiments: +- 2.2 % (2 sigma).
    rng = np.random.default_rng(2)
    words = np.full(80, 8.0)
    hits = 0
    for _ in range(400):
        _, low, high = rate_interval(rng.binomial(8, 0.3, 80), words, samples=1000)
        hits += low <= 0.3 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_seed_and_blocks(monkeypatch):
    errors, words = np.arange(30.0), np.full(30, 40.0)
    assert rate_interval(errors, words, seed=1) == rate_interval(errors, words, seed=1)
    assert rate_interval(errors, words, seed=1)[1:] != rate_interval(errors, words, seed=2)[1:]
    whole = rate_interval(errors, words, samples=50_000)
    monkeypatch.setattr(bootstrap, "_BLOCK", 30_000)
    np.testing.assert_allclose(rate_interval(errors, words, samples=50_000), whole, atol=5e-3)


def test_utterances_without_words():
    # Insertions of an empty reference count; a resample of empty references alone has no rate.
    rate, low, high = rate_interval([2, 0], [0, 4])
    assert rate == 0.5
    assert np.isfinite([low, high]).all()


@pytest.mark.parametrize(
    ("errors", "words", "message"),
    [
        ([1, 2], [1], "one value an utterance"),
        ([1, np.nan], [1, 1], "must be finite"),
        ([1, 2], [0, 0], "2 utterances hold no word"),
        ([], [], "0 utterances hold no word"),
    ],
)
def test_errors(errors, words, message):
    with pytest.raises(ValueError, match=message):
        rate_interval(errors, words)
