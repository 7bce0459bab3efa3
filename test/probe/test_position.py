"""The three position measures: against brute force, and on features whose position is known."""

import itertools

import numpy as np
import pytest
import torch

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.probe.hidden import stationary_crops
from espnet_posinv.probe.position import index_distances, read_out


def features(position: float, count=12, frames=40, dim=8, seed=0):
    """Independent frames plus `position` times a vector that turns with the index."""
    rng = torch.Generator().manual_seed(seed)
    content = torch.randn(count, frames, dim, generator=rng)
    angle = torch.arange(frames) / frames * 3
    turning = torch.stack([angle.cos(), angle.sin()], 1) @ torch.eye(2, dim)
    return content + position * turning


def test_index_distances_equal_sums_over_all_pairs():
    x, gap = features(1.0, count=5, frames=9), 3
    by_lag = {lag: [] for lag in range(9)}
    for u, v in itertools.permutations(range(5), 2):
        for i, j in itertools.product(range(9), repeat=2):
            by_lag[abs(i - j)].append((x[u, i] - x[v, j]).square().sum().item())
    found = index_distances(x, gap)
    np.testing.assert_allclose(found.lags, [np.mean(by_lag[lag]) for lag in range(9)], rtol=1e-4)
    far = np.concatenate([by_lag[lag] for lag in range(gap, 9)])
    assert found.same == pytest.approx(np.mean(by_lag[0]), rel=1e-4)
    assert found.other == pytest.approx(far.mean(), rel=1e-4)
    assert found.ratio == pytest.approx(found.same / found.other)


def test_jackknife_equals_leaving_each_utterance_out():
    x, gap = features(1.0, count=6, frames=9), 3
    ratios = [index_distances(x[[v for v in range(6) if v != u]], gap).ratio for u in range(6)]
    error = np.sqrt(5 / 6 * np.square(ratios - np.mean(ratios)).sum())
    found = index_distances(x, gap)
    assert found.high - found.ratio == pytest.approx(2.5706 * error, rel=1e-3)  # Student, 5 degrees
    assert found.ratio - found.low == pytest.approx(2.5706 * error, rel=1e-3)


def test_position_is_found_where_it_is_and_nowhere_else():
    with_it, without = index_distances(features(4.0), 20), index_distances(features(0.0), 20)
    assert with_it.high < 0.8
    assert without.low < 1 < without.high
    read, nothing = read_out(features(4.0)), read_out(features(0.0))
    assert read["r2"][0] > 0.6 and read["shuffled"][2] < 0.1
    assert nothing["r2"][2] < 0.1


def test_too_little_data_is_said():
    with pytest.raises(ValueError, match="7 utterances: 4 folds need 8"):
        read_out(features(0.0, count=7))
    with pytest.raises(ValueError, match="gap 40"):
        index_distances(features(0.0), 40)


def test_crops_are_stationary_and_share_no_utterance():
    rng = np.random.default_rng(0)
    # Utterance k is a constant tone behind half a second of silence: where it begins must not show
    speech = {
        f"u{k:03d}": np.r_[
            np.zeros(400), 0.1 * np.sin(0.05 * (k + 1) * np.arange(1200) + rng.uniform(0, 6))
        ].astype(np.float32)
        for k in range(300)
    }
    clean, doubled = stationary_crops([speech, {k: 2 * x for k, x in speech.items()}], 1600, 250)
    assert clean.shape == (250, 1600)
    torch.testing.assert_close(doubled, 2 * clean)
    silent = (clean.abs() < 1e-6).float().mean(0)
    assert silent[:400].mean() == pytest.approx(0.25, abs=0.08)
    assert silent[1200:].mean() == pytest.approx(0.25, abs=0.08)
    with pytest.raises(DataError, match="300 utterances do not fill two segments"):
        stationary_crops([speech], 1600 * 200, 4)
