"""Signal metrics of enhanced speech against clean speech, each computed by its reference library.

========  ===========================================  =============================
pesq      ITU-T P.862.2, wide band (package pesq)      about 1 to 4.64
estoi     Jensen and Taal 2016 (package pystoi)        about 0 to 1
si_sdr    Le Roux et al., arXiv 1811.02508             dB (package fast_bss_eval)
dnsmos    ITU-T P.835 and P.808 (package speechmos)    1 to 5; needs no clean speech
========  ===========================================  =============================

A further metric may be given as a function, as ``ssl_similarity.py`` does.
"""

import math
from collections.abc import Callable

import numpy as np

from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.scoring.own_process import Died, in_own_process

METRICS = ("pesq", "estoi", "si_sdr", "dnsmos")
# Names of a metric's values, if not the metric's own name.
NAMES = {"dnsmos": ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808")}
PACKAGES = {"pesq": "pesq", "estoi": "pystoi", "si_sdr": "fast_bss_eval", "dnsmos": "speechmos"}


class Undefined(ValueError):
    """A metric has no value for an utterance, for a reason that is no mistake of the user's."""


def pesq(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Wide-band PESQ (MOS-LQO); undefined where P.862 finds no utterance, as in silent output.

    P.862's code has room for 50 stretches of speech. With more it writes outside its tables and returns a
    wrong value or crashes. So a recording with more has no value, and the code runs in a separate process.
    """
    require_sound(clean=clean, enhanced=enhanced)
    if (count := _stretches(clean)) > 50:
        raise Undefined(f"{count} stretches of speech; P.862's code has room for 50: cut the recording")
    try:
        return {"pesq": in_own_process(_pesq, clean, enhanced)}
    except Died as error:
        raise Undefined(f"P.862's code died ({error})") from None


def _stretches(signal: np.ndarray) -> int:
    """How many stretches of a signal are 0.2 s or more apart, in frames of 4 ms as P.862 counts them."""
    frames = signal[: len(signal) // 64 * 64].reshape(-1, 64)
    power = np.square(frames).mean(1)
    active = np.flatnonzero(power > 1e-3 * power.mean()) if len(power) else power
    return 1 + int((np.diff(active) > 50).sum())


def _pesq(clean: np.ndarray, enhanced: np.ndarray) -> float:
    import pesq as library

    try:
        return float(library.pesq(SAMPLE_RATE, clean, enhanced, "wb"))
    except (library.NoUtterancesError, library.BufferTooShortError) as error:
        raise Undefined(str(error)) from None


def estoi(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Extended STOI; undefined for less than 30 frames (about 0.4 s) of active speech."""
    import warnings

    import pystoi

    require_sound(clean=clean, enhanced=enhanced)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pystoi warns and returns 1e-5 where it cannot tell
        try:
            return {"estoi": float(pystoi.stoi(clean, enhanced, SAMPLE_RATE, extended=True))}
        except RuntimeWarning as error:
            raise Undefined(str(error).split(".")[0]) from None
        except np.exceptions.AxisError:  # not even one frame
            raise Undefined(f"{len(clean)} samples: less than a frame of 25.6 ms") from None


def si_sdr(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Scale-invariant SDR of zero-mean signals in dB.

    Undefined for silence and constants, and beyond +-100 dB: it is infinite for a copy of the clean signal
    and minus infinite for a signal that is orthogonal to it, where floating point gives rounding errors only.
    """
    import fast_bss_eval

    require_sound(clean=clean, enhanced=enhanced)
    signals = []
    for name, signal in (("clean", clean), ("enhanced", enhanced)):
        centred = signal - signal.mean()
        if np.square(centred).mean() <= 1e-24 * np.square(signal).mean():
            raise Undefined(f"the {name} signal is constant")
        signals.append(centred / np.abs(centred).max())
    clean, enhanced = signals
    cosine = abs(clean @ enhanced) / math.sqrt((clean @ clean) * (enhanced @ enhanced))
    if cosine**2 < 1e-10:
        raise Undefined("minus infinite: the signal is orthogonal to the clean one")
    if 1 - cosine**2 < 1e-10:
        raise Undefined("infinite: the signal is the clean one")
    return {"si_sdr": float(fast_bss_eval.si_sdr(clean[None], enhanced[None])[0])}


def dnsmos(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """DNSMOS of the enhanced signal alone: overall, speech, background (P.835) and P.808.

    The mean over windows of 9.01 s, one each second: ``floor(T) - 9`` windows of a signal of T seconds. The
    library gets one window at a time, since it would skip windows 7 to 23, whose floating-point bounds make
    them one sample short. A signal shorter than a window is repeated up to that length. The library itself
    would double it until it is longer than a window and average over shifted windows: up to nine times the
    work, and scores that differ by up to 0.23.
    """
    from speechmos import dnsmos as library

    require_sound(enhanced=enhanced)
    signal = np.clip(enhanced, -1, 1)
    size = 144160  # 9.01 s
    if len(signal) < size:
        signal = np.resize(signal, size)
    windows = range(max(1, len(signal) // SAMPLE_RATE - 9))
    starts = [SAMPLE_RATE * k for k in windows]
    found = [library.run(signal[start : start + size], SAMPLE_RATE) for start in starts]
    return {
        name: float(np.mean([each[key] for each in found]))
        for name, key in zip(NAMES["dnsmos"], ("ovrl_mos", "sig_mos", "bak_mos", "p808_mos"), strict=True)
    }


def require_sound(**signals: np.ndarray) -> None:
    """Raise :class:`Undefined` that names the first silent signal."""
    for name, signal in signals.items():
        if not signal.any():
            raise Undefined(f"the {name} signal is silent")


FUNCTIONS = {"pesq": pesq, "estoi": estoi, "si_sdr": si_sdr, "dnsmos": dnsmos}
Metric = Callable[[np.ndarray, np.ndarray], dict[str, float]]
