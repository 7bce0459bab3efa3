"""Noise of random kind and ratio: reproducible, evenly drawn, never silent."""

from collections import Counter

import numpy as np
import pytest

from espnet_posinv.perturb.noise import SilentNoise
from espnet_posinv.perturb.random_noise import RandomNoise
from espnet_posinv.perturb.seeding import generator

RATE = 16000


def white(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def test_an_utterance_has_its_noise_whatever_else_is_drawn():
    noises = RandomNoise({"a": white(3, 1), "b": white(2, 2)}, (5, 10, 20))
    speech = white(1)
    first = noises.mix(speech, generator("noise", "utt7", 0))
    noises.mix(speech, generator("noise", "utt8", 0))
    again = noises.mix(speech, generator("noise", "utt7", 0))
    assert (first.kind, first.snr) == (again.kind, again.snr)
    np.testing.assert_array_equal(first.mixture.mix, again.mixture.mix)
    assert any(
        not np.array_equal(first.mixture.mix, noises.mix(speech, generator("noise", "utt7", k)).mixture.mix)
        for k in (1, 2)
    )


def test_kinds_and_ratios_are_drawn_evenly():
    noises = RandomNoise({k: white(0.3, i) for i, k in enumerate("abc")}, (5, 20))
    drawn = [noises.mix(white(0.1), generator(i)) for i in range(240)]
    assert all(55 <= n <= 105 for n in Counter(d.kind for d in drawn).values())
    assert all(95 <= n <= 145 for n in Counter(d.snr for d in drawn).values())


def test_silent_noise_is_drawn_again():
    noises = RandomNoise({"silent": np.zeros(RATE, np.float32), "loud": white(1)}, (5,))
    assert {noises.mix(white(0.5), generator(i)).kind for i in range(20)} == {"loud"}
    with pytest.raises(SilentNoise, match="10 segments of silent drawn, all of them silent"):
        RandomNoise({"silent": np.zeros(RATE, np.float32)}, (5,)).mix(white(0.5), generator(0))


def test_wrong_speech_is_not_taken_for_silent_noise():
    noises = RandomNoise({"a": white(1)}, (5,))
    with pytest.raises(ValueError, match=r"speech: .*silent"):
        noises.mix(np.zeros(RATE, np.float32), generator(0))
    with pytest.raises(ValueError, match="0 noises and 1 SNRs"):
        RandomNoise({}, (5,))
