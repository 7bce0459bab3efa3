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

METRICS = ("pesq", "estoi", "si_sdr", "dnsmos")
PACKAGES = {"pesq": "pesq", "estoi": "pystoi", "si_sdr": "fast_bss_eval", "dnsmos": "speechmos"}


class Undefined(ValueError):
    """A metric has no value for an utterance, for a reason that is no mistake of the user's."""


def pesq(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Wide-band PESQ (MOS-LQO); undefined where P.862 finds no utterance, as in silent output."""
    import pesq as library

    _require_sound(clean, enhanced)
    try:
        return {"pesq": library.pesq(SAMPLE_RATE, clean, enhanced, "wb")}
    except (library.NoUtterancesError, library.BufferTooShortError) as error:
        raise Undefined(str(error)) from None


def estoi(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Extended STOI; undefined for less than 30 frames (about 0.4 s) of active speech."""
    import warnings

    import pystoi

    _require_sound(clean, enhanced)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pystoi warns and returns 1e-5 where it cannot tell
        try:
            return {"estoi": float(pystoi.stoi(clean, enhanced, SAMPLE_RATE, extended=True))}
        except RuntimeWarning as error:
            raise Undefined(str(error).split(".")[0]) from None


def si_sdr(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """Scale-invariant SDR of zero-mean signals in dB; undefined for silence and for the clean signal."""
    import fast_bss_eval

    clean, enhanced = clean - clean.mean(), enhanced - enhanced.mean()
    _require_sound(clean, enhanced)
    # Of a scaled copy of the clean signal the ratio is infinite; what is computed is rounding noise.
    if 1 - abs(clean @ enhanced) / math.sqrt((clean @ clean) * (enhanced @ enhanced)) < 1e-12:
        raise Undefined("infinite: the signal is the clean one")
    return {"si_sdr": float(fast_bss_eval.si_sdr(clean[None], enhanced[None])[0])}


def dnsmos(clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
    """DNSMOS of the enhanced signal alone: overall, speech, background (P.835) and P.808.

    A signal shorter than the networks' input is repeated up to that length. Left to itself the library
    doubles it, to up to twice the length, and averages over windows that all hold the same, shifted: up to
    nine times the work, and scores that differ a little.
    """
    from speechmos import dnsmos as library

    signal = np.clip(enhanced, -1, 1)
    least = int(library.INPUT_LENGTH * SAMPLE_RATE)
    out = library.run(signal if len(signal) >= least else np.resize(signal, least), SAMPLE_RATE)
    names = {"dnsmos_ovrl": "ovrl_mos", "dnsmos_sig": "sig_mos", "dnsmos_bak": "bak_mos"}
    return {name: float(out[key]) for name, key in (names | {"dnsmos_p808": "p808_mos"}).items()}


def _require_sound(clean: np.ndarray, enhanced: np.ndarray) -> None:
    if not clean.any() or not enhanced.any():
        raise Undefined(f"the {'enhanced' if clean.any() else 'clean'} signal is silent")


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
            values |= function(*signals)
        except Undefined as error:
            values[metric], undefined[metric] = None, str(error)
    if any(value is not None and not math.isfinite(value) for value in values.values()):
        raise DataError(f"utterance {utterance}: a metric is not finite: {values}")
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
