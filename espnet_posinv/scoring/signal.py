"""Signal metrics of many utterances: computed in parallel, averaged with intervals, written as JSON."""

import functools
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from espnet_posinv.files import read_json, write_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.scoring.bootstrap import rate_interval
from espnet_posinv.scoring.metrics import (
    FUNCTIONS,
    METRICS,
    NAMES,
    PACKAGES,
    Metric,
    Undefined,
    dnsmos,
    estoi,
    pesq,
    si_sdr,
)

__all__ = ["METRICS", "Undefined", "dnsmos", "estoi", "pesq", "score_files", "score_signals", "si_sdr"]


def score_signals(
    references: dict[str, str],
    enhanced: dict[str, str],
    metrics: Sequence[str] = METRICS,
    *,
    nj: int = 1,
    further: Mapping[str, Metric] | None = None,
) -> dict[str, dict]:
    """``{id: {metric: value}}``; an undefined value is None, the reason in ``"undefined": {metric: reason}``.

    Args:
        references, enhanced: wav.scp of the same utterances, mono, 16 kHz, equally long.
        metrics: names from `METRICS`.
        nj: processes.
        further: metrics by name, picklable functions of clean and enhanced samples.

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
    signals = [read_mono(entry, utterance=utterance) for entry in entries]
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
    """Mean of each metric over the utterances with a value, with count and 95 % interval."""
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
    """Score one wav.scp against another; writes means, intervals, single values as JSON, returns the means.

    Raises:
        DataError: no utterance; see :func:`score_signals`.
    """
    clean = read_scp(reference)
    if not clean:
        raise DataError(f"{reference}: holds no utterance")
    scores = score_signals(clean, read_scp(enhanced), metrics, nj=nj, further=further)
    total = pool(scores)
    packages = {PACKAGES[metric]: version(PACKAGES[metric]) for metric in metrics}
    result = {"total": total, "packages": packages, "utterances": scores}
    if further:
        result["further"] = {name: str(function) for name, function in further.items()}
    write_json(output, result)
    return total


def undefined_lines(output: str | Path) -> list[str]:
    """A line for each metric and reason, with up to ten utterances without a value."""
    utterances = read_json(output)["utterances"]
    found: dict[tuple[str, str], list[str]] = {}
    for utterance, score in utterances.items():
        for name, reason in score.get("undefined", {}).items():
            found.setdefault((name, reason), []).append(utterance)
    return [
        f"{name} undefined, {reason}: {', '.join(ids[:10])}{f' and {len(ids) - 10} more' * (len(ids) > 10)}"
        for (name, reason), ids in found.items()
    ]
