"""Mix speech and noise of 16 kHz at a signal-to-noise ratio measured where there is speech.

The ratio is `10 log10(P_s / P_n)`. Both powers are measured above 80 Hz, so inaudible rumble does not count
as noise, and over the *active* frames of the speech, so pauses do not matter (as in ITU-T P.56, but with
plain frames instead of its envelope).
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from espnet_posinv.sample_rate import SAMPLE_RATE

CUTOFF_HZ = 80.0
FRAME_S = 0.02
ACTIVE_DB = 35.0  # a frame is active when it is at most this far below the loudest frame
SILENT_DB = -70.0  # dBFS; noise below it over the active frames counts as silent
LIMIT = 0.99  # largest peak of a mixture: 16-bit files clip at 1
TRIES, FADE_S = 20, 0.05  # of NoiseCutter: segments drawn, seconds of a cross-fade


class SilentNoise(ValueError):
    """A noise segment is silent where the speech is active; another segment may not be."""


@dataclass
class Mixture:
    """Samples `(T,)` float32, `mix = speech + noise`; `gain` is their common scale from the peak limit."""

    mix: np.ndarray
    speech: np.ndarray
    noise: np.ndarray
    gain: float


def check_signal(x: np.ndarray, name: str) -> np.ndarray:
    """Return `x` as float32; raise ValueError if it is not a finite, non-empty, one-dimensional signal."""
    x = np.asarray(x)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(
            f"{name}: samples of shape (T,) are expected, got {x.shape}; average the channels first"
        )
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(
            f"{name}: float samples in [-1, 1] are expected, got {x.dtype}; divide integers by 2**15"
        )
    if not np.isfinite(x).all():
        bad = int(np.flatnonzero(~np.isfinite(x))[0])
        raise ValueError(f"{name}: sample {bad} is {x[bad]}; remove this recording")
    return x.astype(np.float32)


def highpass(x: np.ndarray) -> np.ndarray:
    """Remove frequencies below 80 Hz, without delay: order-2 Butterworth, forward and backward."""
    sos = butter(2, CUTOFF_HZ, "highpass", fs=SAMPLE_RATE, output="sos")
    # sosfiltfilt pads with samples of the signal, of which a very short one has few.
    return sosfiltfilt(sos, x, padlen=min(len(x) - 1, SAMPLE_RATE // 10)).astype(np.float32)


def active_frames(x: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Boolean mask `(T,)`: samples in 20 ms frames at most 35 dB below the loudest frame of `x`.

    Raises:
        ValueError: `x` is silent throughout.
    """
    size = max(1, round(FRAME_S * rate))
    count = -(-len(x) // size)
    padded = np.zeros(count * size)
    padded[: len(x)] = x
    power = (padded.reshape(count, size) ** 2).mean(1)
    if 10 * np.log10(power.max() + 1e-30) < SILENT_DB - 10:
        raise ValueError(
            f"the loudest 20 ms frame is at {10 * np.log10(power.max() + 1e-30):.0f} dBFS: silent"
        )
    return np.repeat(power >= power.max() * 10 ** (-ACTIVE_DB / 10), size)[: len(x)]


def active_level(x: np.ndarray) -> float:
    """Level above 80 Hz over the active frames in dBFS; 0 for a full-scale square wave."""
    x = highpass(check_signal(x, "signal"))
    return float(10 * np.log10(np.mean(x[active_frames(x)].astype(np.float64) ** 2)))


def at_level(x: np.ndarray, dbfs: float) -> np.ndarray:
    """`x` scaled so that its :func:`active_level` is `dbfs`."""
    return x * np.float32(10 ** ((dbfs - active_level(x)) / 20))


def below_full_scale(x: np.ndarray) -> np.ndarray:
    """`x`, scaled down to a peak of `LIMIT` if it exceeds that."""
    return x * np.float32(min(1.0, LIMIT / np.abs(x).max()))


def mix_at_snr(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> Mixture:
    """Add `noise` (T,) to `speech` (T,), float, so that the ratio over the active speech is `snr_db`.

    Returns:
        The mixture and its parts. If a peak would exceed 0.99, all three are scaled by one gain, so they
        still add up and the ratio does not change.

    Raises:
        SilentNoise: the noise is silent where the speech is active.
        ValueError: lengths differ, NaN, silent speech, ratio not finite.
    """
    speech, noise = check_signal(speech, "speech"), check_signal(noise, "noise")
    if len(speech) != len(noise):
        raise ValueError(f"speech has {len(speech)} samples and noise {len(noise)}: cut the noise first")
    if not np.isfinite(snr_db):
        raise ValueError(f"snr_db must be a finite number of dB, got {snr_db}")
    filtered = highpass(speech)
    try:
        active = active_frames(filtered)
    except ValueError as error:
        raise ValueError(f"speech: {error}") from None
    power_s = np.mean(filtered[active].astype(np.float64) ** 2)
    power_n = np.mean(highpass(noise)[active].astype(np.float64) ** 2)
    if 10 * np.log10(power_n + 1e-30) < SILENT_DB:
        level = 10 * np.log10(power_n + 1e-30)
        raise SilentNoise(f"noise: {level:.0f} dBFS where there is speech: silent; use another segment")
    noise = noise * np.float32(np.sqrt(power_s / power_n / 10 ** (snr_db / 10)))
    mix = speech + noise
    peak = max(np.abs(mix).max(), np.abs(speech).max(), np.abs(noise).max())
    gain = np.float32(min(1.0, LIMIT / peak))
    return Mixture(mix * gain, speech * gain, noise * gain, float(gain))


@dataclass
class NoiseCutter:
    """Cuts random segments of any length out of noise recordings.

    A recording shorter than the segment is repeated with cross-fades of 50 ms.  Segments that are silent for
    more than half of their length are drawn again.
    """

    rng: np.random.Generator

    def cut(self, noise: np.ndarray, length: int) -> np.ndarray:
        """A segment `(length,)` float32 of `noise` `(T,)`.

        Raises:
            SilentNoise: every segment drawn was silent.
            ValueError: length not positive, or NaN.
        """
        if length <= 0:
            raise ValueError(f"length must be positive, got {length}")
        noise = check_signal(noise, "noise")
        looped = self._loop(noise, length)
        size = round(FRAME_S * SAMPLE_RATE)
        for _ in range(TRIES):
            start = int(self.rng.integers(len(looped) - length + 1))
            segment = looped[start : start + length]
            frames = segment[: max(1, length // size) * size]
            power = np.array(
                [np.mean(f.astype(np.float64) ** 2) for f in np.array_split(frames, max(1, length // size))]
            )
            if np.median(10 * np.log10(power + 1e-30)) >= SILENT_DB:
                return segment.copy()
        raise SilentNoise(
            f"noise: {TRIES} segments of {length} samples drawn, each silent for over half of it"
        )

    def _loop(self, noise: np.ndarray, length: int) -> np.ndarray:
        # At least twice the length if it must be repeated, so that a segment can start anywhere.
        if len(noise) >= length:
            return noise
        fade = min(round(FADE_S * SAMPLE_RATE), len(noise) // 2)
        ramp = np.sqrt(np.linspace(0, 1, fade, endpoint=False, dtype=np.float32))
        # Powers of unrelated signals add: square-root ramps keep the level in the cross-fade.
        step = len(noise) - fade
        count = -(-2 * length // step) + 1
        looped = np.zeros(count * step + fade, dtype=np.float32)
        piece = noise.copy()
        piece[:fade] *= ramp
        piece[len(noise) - fade :] *= ramp[::-1]
        for i in range(count):
            looped[i * step : i * step + len(noise)] += piece
        return looped[fade : count * step]
