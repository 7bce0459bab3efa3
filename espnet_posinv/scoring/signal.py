"""Signal metrics of enhanced speech against clean speech, each by the library that is its reference.

========  ===========================================  =============================
pesq      ITU-T P.862.2, wide band (package pesq)      about 1 to 4.64
estoi     Jensen and Taal 2016 (package pystoi)        about 0 to 1
si_sdr    Le Roux et al., arXiv 1811.02508             dB (package fast_bss_eval)
dnsmos    ITU-T P.835 and P.808 (package speechmos)    1 to 5; needs no clean speech
========  ===========================================  =============================

A further metric may be given as a function, as ``ssl_similarity.py`` does.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.scoring.bootstrap import rate_interval
from espnet_posinv.scoring.own_process import Died, in_own_process

METRICS = ("pesq", "estoi", "si_sdr", "dnsmos")
# What a metric's values are called, where that is not the metric's own name.
NAMES = {"dnsmos": ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808")}
PACKAGES = {"pesq": "pesq", "estoi": "pystoi", "si_sdr": "fast_bss_eval", "dnsmos": "speechmos"}


class Undefined(ValueError):
    """A metric has no value for an utterance, for a reason that is no mistake of the user's."""


def pesq(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Wide-band PESQ (MOS-LQO); undefined where P.862 finds no utterance, as in silent output.

    P.862's code has room for 50 utterances of a recording. Of more, it writes behind its tables, and gives a
    value or dies; so such recordings have no value, and it runs in a process of its own.
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

    Undefined for silence and constants, and beyond +-100 dB: of a copy of the clean signal it is infinite, of
    a signal that is orthogonal to it minus infinite, and what is computed of either is rounding.
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

    The mean over windows of 9.01 s, one each second: ``floor(T) - 9`` of a signal of T seconds. The library
    is given one at a time: of itself it leaves out windows 7 to 23, which its floating-point bounds make one
    sample short. A signal shorter than a window is repeated up to that length. Left to itself the library
    doubles it, to up to twice the length, and averages over windows that all hold the same, shifted: up to
    nine times the work, and scores that differ a little (by up to 0.23, in the score of speech).
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


def score_signals(
    references: dict[str, str],
    enhanced: dict[str, str],
    metrics: Sequence[str] = METRICS,
    *,
    nj: int = 1,
    further: Mapping[str, Metric] | None = None,
) -> dict[str, dict]:
    """Metrics of each utterance.

    Args:
        references: wav.scp of clean speech, mono, 16 kHz.
        enhanced: wav.scp of the same utterances, equally long.
        metrics: names out of `METRICS`.
        nj: processes.
        further: metrics by name, functions of clean and enhanced samples that can be sent to processes.

    Returns:
        ``{id: {metric: value}}``; a metric that is undefined for an utterance is None, and
        ``"undefined": {metric: reason}`` says why.

    Raises:
        DataError: ids, rates, channels or lengths differ, or audio is missing, empty or not finite.
    """
    unknown = set(metrics) - set(METRICS)
    if unknown:
        raise DataError(f"unknown metric {', '.join(sorted(unknown))}; there are {', '.join(METRICS)}")
    lone = references.keys() ^ enhanced.keys()
    if lone:
        some = ", ".join(sorted(lone)[:10])
        raise DataError(f"{len(lone)} utterances are only in one of clean and enhanced speech: {some}")
    items = [(utterance, references[utterance], enhanced[utterance]) for utterance in sorted(references)]
    functions = {**{name: FUNCTIONS[name] for name in metrics}, **(further or {})}
    one = functools.partial(_score, functions)
    label = f"{', '.join(functions)} of {len(items)} utterances"
    return dict(zip(sorted(references), parallel_map(one, items, label=label, jobs=nj), strict=True))


def _score(functions: dict[str, Metric], item: tuple[str, str, str]) -> dict:
    import torch

    torch.set_num_threads(1)  # one process a core
    utterance, *entries = item
    signals = []
    for entry in entries:
        try:
            signals.append(read_mono(entry))
        except DataError as error:
            raise DataError(f"utterance {utterance}: {error}") from None
    if len(signals[0]) != len(signals[1]):
        raise DataError(
            f"utterance {utterance}: clean speech has {len(signals[0])} samples, enhanced {len(signals[1])} "
            f"({entries[0]}, {entries[1]})"
        )
    values, undefined = {}, {}
    for metric, function in functions.items():
        try:
            found = function(*signals)
            if lost := {name: value for name, value in found.items() if not math.isfinite(value)}:
                raise Undefined(f"not finite: {lost}")
            values |= found
        except Undefined as error:
            names = NAMES.get(metric, (metric,))
            values |= dict.fromkeys(names)
            undefined |= dict.fromkeys(names, str(error))
    return {**values, **({"undefined": undefined} if undefined else {})}


def pool(scores: dict[str, dict]) -> dict[str, dict]:
    """Mean of each metric over the utterances where it is defined, with count and 95 % interval."""
    names = dict.fromkeys(name for score in scores.values() for name in score if name != "undefined")
    pooled = {}
    for name in names:
        values = [score[name] for score in scores.values() if score.get(name) is not None]
        undefined = len(scores) - len(values)
        if not values:
            pooled[name] = {"mean": None, "count": 0, "undefined": undefined}
            continue
        mean, low, high = rate_interval(values, np.ones(len(values)))
        pooled[name] = {
            "mean": mean,
            "count": len(values),
            "undefined": undefined,
            "interval95": {"low": low, "high": high},
        }
    return pooled


def score_files(
    reference: str | Path,
    enhanced: str | Path,
    output: str | Path,
    metrics: Sequence[str],
    *,
    nj: int,
    further: Mapping[str, Metric] | None = None,
) -> dict[str, dict]:
    """Score one wav.scp against another and write a JSON file of means, intervals and single values.

    Returns:
        The means, see :func:`pool`.

    Raises:
        DataError: see :func:`score_signals`.
    """
    scores = score_signals(read_scp(reference), read_scp(enhanced), metrics, nj=nj, further=further)
    total = pool(scores)
    packages = {PACKAGES[metric]: version(PACKAGES[metric]) for metric in metrics}
    result = {"total": total, "packages": packages, "utterances": scores}
    if further:
        result["further"] = {name: str(function) for name, function in further.items()}
    with atomic_write(output) as file:
        json.dump(result, file, indent=1)
    return total


def undefined_lines(output: str | Path) -> list[str]:
    """A line for each metric and reason, with the utterances that have no value: at most ten are named."""
    utterances = json.loads(Path(output).read_text(encoding="utf-8"))["utterances"]
    found: dict[tuple[str, str], list[str]] = {}
    for utterance, score in utterances.items():
        for name, reason in score.get("undefined", {}).items():
            found.setdefault((name, reason), []).append(utterance)
    return [
        f"{name} undefined, {reason}: {', '.join(ids[:10])}{f' and {len(ids) - 10} more' * (len(ids) > 10)}"
        for (name, reason), ids in found.items()
    ]
