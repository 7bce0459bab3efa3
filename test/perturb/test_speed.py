import math

import numpy as np
import pytest
import torch

from espnet_posinv.perturb.speed import Speed, change_speed, changed_length


def tone(frequency, samples):
    return torch.sin(2 * math.pi * frequency * torch.arange(samples) / 16000)


@pytest.mark.parametrize("factor", [0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2])
@pytest.mark.parametrize("length", [1, 399, 16000, 16001, 47999])
def test_length_is_exact(factor, length):
    numerator, denominator = round(factor * 100), 100
    expected = -(-length * denominator // numerator)
    assert changed_length(length, factor) == expected
    wav, lengths = change_speed(torch.ones(1, length), torch.tensor([length]), [factor])
    assert lengths.tolist() == [expected] and wav.shape == (1, expected)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_tone_changes_its_frequency_by_the_factor(factor):
    """A 440 Hz tone becomes one of 440 * factor Hz: compare with that tone, away from the ends."""
    wav, lengths = change_speed(tone(440, 16000)[None], torch.tensor([16000]), [factor])
    n = lengths.item()
    torch.testing.assert_close(wav[0, 500 : n - 500], tone(440 * factor, n)[500:-500], rtol=0, atol=2e-3)


def test_it_is_the_resampling_that_scipy_does():
    from scipy.signal import resample_poly

    x = torch.cumsum(torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)), 1) * 0.01
    ours, _ = change_speed(x, torch.tensor([8000]), [0.9])
    theirs = resample_poly(x[0].numpy(), 10, 9)
    inner = slice(200, -200)
    assert np.abs(ours[0].numpy()[inner] - theirs[inner]).max() < 0.02 * np.abs(theirs).max()


def test_an_utterance_does_not_see_its_neighbours():
    torch.manual_seed(0)
    wav, lengths = torch.randn(4, 5000), torch.tensor([5000, 3001, 4000, 5000])
    factors = [0.9, 1.1, 0.9, 1.0]
    out, new = change_speed(wav, lengths, factors)
    for b, n in enumerate(lengths.tolist()):
        alone, alone_length = change_speed(wav[b : b + 1, :n], lengths[b : b + 1], factors[b : b + 1])
        assert new[b] == alone_length[0]
        torch.testing.assert_close(out[b, : new[b]], alone[0], rtol=1e-5, atol=1e-6)
        assert not out[b, new[b] :].any()
    torch.testing.assert_close(out[3, :5000], wav[3], rtol=0, atol=0)


def test_factors_are_drawn_equally_often():
    draws = [Speed((0.9, 1.0, 1.1)).draw(np.random.default_rng(seed)) for seed in range(3000)]
    assert {f: abs(draws.count(f) / 3000 - 1 / 3) < 0.03 for f in (0.9, 1.0, 1.1)} == dict.fromkeys(
        (0.9, 1.0, 1.1), True
    )


@pytest.mark.parametrize("factors", [(), (0.9, 0.0), (-1.0,), (0.913,), (0.333,), (float("inf"),)])
def test_wrong_factors_are_refused(factors):
    with pytest.raises(ValueError, match="speed factor"):
        Speed(factors)


def test_thirds_are_exact():
    assert changed_length(300, 2 / 3) == 450
