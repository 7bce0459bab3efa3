"""Mixing: the ratio that was asked for, by a second computation; joint scaling; refusals."""

import numpy as np
import pytest

from espnet_posinv.perturb.noise import NoiseCutter, active_frames, active_level, highpass, mix_at_snr

RATE = 16000


def tone(seconds, hz=440.0, amplitude=0.1):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def with_pause():
    """One second of tone, two of silence, one of tone."""
    return np.concatenate([tone(1), np.zeros(2 * RATE, np.float32), tone(1)])


def white(length, seed=0, amplitude=0.03):
    return (amplitude * np.random.default_rng(seed).standard_normal(length)).astype(np.float32)


def test_active_level_of_a_tone_is_that_of_its_loud_part():
    # A sine of amplitude a has power a^2 / 2, and the pause counts for nothing.
    assert active_level(with_pause()) == pytest.approx(
        10 * np.log10(0.1**2 / 2), abs=0.15
    )  # ringing at the edges


def test_active_frames_leave_the_pause_out():
    active = active_frames(with_pause())
    assert active[:RATE].all() and active[3 * RATE :].all() and not active[RATE + 400 : 3 * RATE - 400].any()


@pytest.mark.parametrize("snr", [-5.0, 0.0, 7.3, 20.0])
def test_ratio_over_active_speech(snr):
    speech, noise = with_pause(), white(4 * RATE)
    m = mix_at_snr(speech, noise, snr)
    # Second computation, in the frequency domain: noise power above 80 Hz, over the loud seconds only.
    loud = np.r_[0:RATE, 3 * RATE : 4 * RATE]
    spectrum = np.fft.rfft(m.noise[loud])
    spectrum[np.fft.rfftfreq(len(loud), 1 / RATE) < 80] = 0
    noise_power = np.mean(np.fft.irfft(spectrum) ** 2)
    got = 10 * np.log10(np.mean(m.speech[loud] ** 2) / noise_power)
    assert got == pytest.approx(snr, abs=0.2)


def test_noise_in_the_pause_does_not_change_the_ratio():
    speech, noise = with_pause(), white(4 * RATE)
    louder = noise.copy()
    louder[RATE + 800 : 3 * RATE - 800] *= 30
    a, b = mix_at_snr(speech, noise, 5.0), mix_at_snr(speech, louder, 5.0)
    gain_a, gain_b = (np.linalg.norm(m.noise[:8000]) / np.linalg.norm(m.speech[:8000]) for m in (a, b))
    assert gain_b == pytest.approx(gain_a, rel=1e-2)


def test_rumble_does_not_count_as_noise():
    speech, noise = tone(2), white(2 * RATE)
    rumble = noise + tone(2, hz=20, amplitude=0.5)
    a, b = mix_at_snr(speech, noise, 5.0), mix_at_snr(speech, rumble, 5.0)
    quiet, loud = (highpass(m.noise / m.gain) for m in (a, b))
    assert np.linalg.norm(loud[800:-800]) == pytest.approx(np.linalg.norm(quiet[800:-800]), rel=0.02)


def test_peaks_are_scaled_jointly():
    speech, noise = tone(1, amplitude=0.9), white(RATE, amplitude=0.3)
    m = mix_at_snr(speech, noise, 0.0)
    assert np.abs(m.mix).max() <= 0.99 + 1e-6 and m.gain < 1
    np.testing.assert_allclose(m.mix, m.speech + m.noise, atol=1e-6)
    np.testing.assert_allclose(m.speech, speech * m.gain, atol=1e-6)


def test_no_scaling_without_need():
    speech = tone(1)
    m = mix_at_snr(speech, white(RATE), 10.0)
    assert m.gain == 1 and np.array_equal(m.speech, speech)


def test_highpass_removes_the_mean_and_keeps_speech():
    x = tone(1) + 0.2
    y = highpass(x)
    assert abs(y[1000:-1000].mean()) < 1e-4
    np.testing.assert_allclose(y[2000:-2000], tone(1)[2000:-2000], atol=1e-3)


@pytest.mark.parametrize(
    ("speech", "noise", "snr", "message"),
    [
        (tone(1), white(RATE - 1), 0.0, "16000 samples and noise 15999"),
        (np.zeros(RATE, np.float32), white(RATE), 0.0, "speech: .* silent"),
        (tone(1), np.zeros(RATE, np.float32), 0.0, "noise: .* silent"),
        (tone(1), white(RATE), float("nan"), "snr_db must be a finite number of dB, got nan"),
        (np.where(np.arange(RATE) == 7, np.nan, tone(1)), white(RATE), 0.0, "speech: sample 7 is nan"),
        (tone(1)[None], white(RATE), 0.0, r"speech: samples of shape \(T,\) .* got \(1, 16000\)"),
        ((tone(1) * 32768).astype(np.int16), white(RATE), 0.0, "speech: float samples .* got int16"),
        (tone(1), np.zeros(0, np.float32), 0.0, "noise: samples"),
    ],
)
def test_refusals(speech, noise, snr, message):
    with pytest.raises(ValueError, match=message):
        mix_at_snr(speech, noise, snr)


def test_noise_silent_only_where_there_is_speech_is_refused():
    noise = white(4 * RATE)
    noise[: RATE + 4000] = noise[3 * RATE - 4000 :] = 0
    with pytest.raises(ValueError, match="where there is speech"):
        mix_at_snr(with_pause(), noise, 0.0)


def test_cut_is_a_segment_and_reproducible():
    noise = white(5 * RATE)
    a, b = (NoiseCutter(np.random.default_rng(3)).cut(noise, RATE) for _ in range(2))
    assert np.array_equal(a, b)
    start = int(np.flatnonzero(noise == a[0])[0])
    assert np.array_equal(noise[start : start + RATE], a)


def test_short_noise_is_repeated_without_clicks_or_gaps():
    noise = tone(0.5, hz=100)
    y = NoiseCutter(np.random.default_rng(0)).cut(noise, 3 * RATE)
    assert len(y) == 3 * RATE
    # A click would be a jump far beyond the steepest slope of the tone; a gap a silent stretch.
    assert np.abs(np.diff(y)).max() < 3 * 0.1 * 2 * np.pi * 100 / RATE
    noise = white(RATE // 2)
    y = NoiseCutter(np.random.default_rng(0)).cut(noise, 3 * RATE)
    power = (y[: len(y) // 800 * 800].reshape(-1, 800) ** 2).mean(1)
    assert power.min() > 0.5 * power.mean()


def test_silent_segments_are_drawn_again_and_refused_in_the_end(monkeypatch):
    noise = np.concatenate([np.zeros(20 * RATE, np.float32), white(2 * RATE)])
    with monkeypatch.context() as patch:
        patch.setattr("espnet_posinv.perturb.noise.TRIES", 200)
        y = NoiseCutter(np.random.default_rng(0)).cut(noise, RATE)
    assert np.mean(y**2) > 1e-5
    with pytest.raises(ValueError, match="silent for over half"):
        NoiseCutter(np.random.default_rng(0)).cut(np.zeros(5 * RATE, np.float32), RATE)
    with pytest.raises(ValueError, match="length must be positive, got 0"):
        NoiseCutter(np.random.default_rng(0)).cut(noise, 0)
