import itertools
import math

import numpy as np
import pytest
from scipy import stats

from espnet_posinv.scoring.significance import matched_pairs, permutation


@pytest.fixture
def errors():
    generator = np.random.default_rng(0)
    return generator.poisson(2.0, 40), generator.poisson(2.4, 40)


def test_matched_pairs_by_hand():
    # d = 1, 1, -1, 3: mean 1, variance (0 + 0 + 4 + 4) / 3
    found = matched_pairs([2, 1, 0, 4], [1, 0, 1, 1])
    z = 1 / math.sqrt(8 / 3 / 4)
    assert found["mean"] == 1.0 and found["z"] == pytest.approx(z) and found["utterances"] == 4
    assert found["exact"] is True and found["p"] == 8 / 16  # +3 and at most one -1, or their opposites


def test_few_utterances_have_exact_values():
    # 5 wins of 5 by one error each: the sign test's 2 / 2^5, not the normal distribution's 0
    assert matched_pairs([1] * 5, [0] * 5)["p"] == pytest.approx(stats.binomtest(5, 5).pvalue)
    # Of 100 utterances 8 differ, 7 for the better: McNemar's exact test
    errors, baseline = np.r_[np.zeros(7), 1, np.zeros(92)], np.r_[np.ones(7), 0, np.zeros(92)]
    assert matched_pairs(errors, baseline)["p"] == pytest.approx(stats.binomtest(1, 8).pvalue)
    assert not matched_pairs(np.arange(40) % 3, np.zeros(40))["exact"]
    with pytest.raises(ValueError, match="must be whole"):
        permutation([0.5, 1], [0, 0])


def test_matched_pairs_equals_scipys_paired_statistic(errors):
    found = matched_pairs(*errors)
    reference = stats.ttest_rel(*errors)
    assert found["z"] == pytest.approx(reference.statistic)
    assert found["p"] == pytest.approx(2 * stats.norm.sf(abs(reference.statistic)))


def test_equal_and_evenly_shifted_systems():
    assert matched_pairs([1, 2, 3], [1, 2, 3]) == {
        "mean": 0.0,
        "z": 0.0,
        "p": 1.0,
        "exact": True,
        "utterances": 3,
    }
    assert matched_pairs([2, 3, 4], [1, 2, 3]) == {
        "mean": 1.0,
        "z": None,
        "p": 0.25,
        "exact": True,
        "utterances": 3,
    }
    assert permutation([1, 2, 3], [1, 2, 3]) == {"p": 1.0, "exact": True, "differing": 0}
    assert permutation([2, 3, 4], [1, 2, 3])["p"] == 2 / 8  # all signs equal, either way


def test_exact_permutation_equals_all_patterns_written_out():
    errors, baseline = [3, 0, 2, 5, 1, 1], [1, 1, 0, 0, 2, 1]
    d = [a - b for a, b in zip(errors, baseline, strict=True) if a != b]
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    found = permutation(errors, baseline)
    assert found["exact"] and found["differing"] == 5
    assert found["p"] == pytest.approx(np.mean([s >= abs(sum(d)) for s in sums]))


def test_permutation_comes_near_scipys_sampled_one(errors):
    found = permutation(*errors)
    reference = stats.permutation_test(
        errors, lambda a, b, axis: (a - b).sum(axis), permutation_type="samples", n_resamples=20000, rng=1
    ).pvalue
    assert found["p"] == pytest.approx(reference, abs=0.015)
    assert permutation(np.full(30, 5), np.zeros(30))["p"] == pytest.approx(2**-29)


def test_false_alarms_are_as_many_as_promised():
    # Systems that are alike: of 400 pairs about 5 per cent have p < 0.05
    generator = np.random.default_rng(1)
    pairs = [generator.poisson(1.0, (2, 60)) for _ in range(400)]
    for test in (matched_pairs, lambda a, b: permutation(a, b)):
        share = np.mean([test(a, b)["p"] < 0.05 for a, b in pairs])
        assert 0.02 < share < 0.09


def test_errors():
    for errors, baseline in (([1], [1]), ([1, 2], [1, 2, 3])):
        with pytest.raises(ValueError, match="the errors of the same 2 utterances or more"):
            matched_pairs(errors, baseline)
