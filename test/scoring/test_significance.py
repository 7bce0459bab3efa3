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
    assert found["p"] == pytest.approx(2 * stats.norm.sf(z))


def test_matched_pairs_equals_scipys_paired_statistic(errors):
    found = matched_pairs(*errors)
    reference = stats.ttest_rel(*errors)
    assert found["z"] == pytest.approx(reference.statistic)
    assert found["p"] == pytest.approx(2 * stats.norm.sf(abs(reference.statistic)))


def test_equal_and_evenly_shifted_systems():
    assert matched_pairs([1, 2, 3], [1, 2, 3]) == {"mean": 0.0, "z": 0.0, "p": 1.0, "utterances": 3}
    assert matched_pairs([2, 3, 4], [1, 2, 3]) == {"mean": 1.0, "z": None, "p": 0.0, "utterances": 3}
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


def test_sampled_permutation_comes_near_scipys(errors):
    found = permutation(*errors, samples=20000)
    reference = stats.permutation_test(
        errors, lambda a, b, axis: (a - b).sum(axis), permutation_type="samples", n_resamples=20000, rng=1
    ).pvalue
    assert not found["exact"]
    assert found["p"] == pytest.approx(reference, abs=0.015)
    assert found == permutation(*errors, samples=20000)
    assert permutation(np.full(30, 5), np.zeros(30))["p"] == 1 / 10001


def test_false_alarms_are_as_many_as_promised():
    # Systems that are alike: of 400 pairs about 5 per cent have p < 0.05
    generator = np.random.default_rng(1)
    pairs = [generator.poisson(1.0, (2, 60)) for _ in range(400)]
    for test in (matched_pairs, lambda a, b: permutation(a, b, samples=400)):
        share = np.mean([test(a, b)["p"] < 0.05 for a, b in pairs])
        assert 0.02 < share < 0.09


def test_errors():
    for errors, baseline in (([1], [1]), ([1, 2], [1, 2, 3])):
        with pytest.raises(ValueError, match="the errors of the same 2 utterances or more"):
            matched_pairs(errors, baseline)
