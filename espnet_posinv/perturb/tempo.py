"""Tempo perturbation: faster or slower at the same pitch, done before training.

Resampling (speed.py) changes the pitch with the tempo.  Here the pitch is kept: by sox's WSOLA, which cuts
and overlaps the waveform, or by the WORLD vocoder (Morise et al. 2016), which analyses the speech and
synthesises it at another frame rate; WORLD is slower, but smooth where WSOLA repeats or drops whole periods.
"""

import shutil
from dataclasses import dataclass

import numpy as np

METHODS = ("sox", "world")


@dataclass(frozen=True)
class Tempo:
    """Tempo factors, of which one is drawn for each utterance, and the method."""

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)  # > 0; 1.1 is 10 % faster, so shorter
    method: str = "sox"  # "sox" or "world"

    def __post_init__(self):
        if not self.factors or not all(0 < f < float("inf") and float(f"{f:g}") == f for f in self.factors):
            raise ValueError(f"tempo factors {self.factors}: give numbers above 0 of up to six digits")
        if self.method not in METHODS:
            raise ValueError(f"tempo method {self.method!r}: one of {', '.join(METHODS)}")

    def draw(self, rng: np.random.Generator) -> float:
        """One of the factors, all equally likely."""
        return float(self.factors[rng.integers(len(self.factors))])

    def apply(self, wav: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
        """Play ``wav`` (T,) at ``factor`` times its tempo; float32, about T / factor samples."""
        if factor == 1.0:
            return wav.astype(np.float32)
        change = with_sox if self.method == "sox" else with_world
        return change(wav, sample_rate, factor).astype(np.float32)


def with_sox(wav: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """WSOLA with sox's parameters for speech.

    Raises:
        RuntimeError: the program sox is not installed.
    """
    if shutil.which("sox") is None:
        raise RuntimeError("tempo perturbation needs the program sox: apt-get install sox")
    import sox

    change = sox.Transformer().tempo(factor, audio_type="s")
    change.set_globals(dither=False, verbosity=1)
    return change.build_array(input_array=wav.astype(np.float32), sample_rate_in=sample_rate)


def with_world(wav: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """Frames analysed every 5 ms, synthesised every 5 / factor ms."""
    import pyworld

    pitch, envelope, aperiodicity = pyworld.wav2world(wav.astype(np.float64), sample_rate, frame_period=5.0)
    return pyworld.synthesize(pitch, envelope, aperiodicity, sample_rate, 5.0 / factor)
