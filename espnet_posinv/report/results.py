"""Scores of a recipe, read back: ``scores/<recogniser>/<system>/<test set>.json``, seeds put together.

A fine-tuned system trained with several seeds has folders ``<system>_seed<k>``. Its errors are averaged
over the seeds for each utterance, so that its interval speaks of utterances as that of every other system.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.scoring.bootstrap import difference_interval, rate_interval

CRITERIONS = ("ssl_mse", "ssl_mse_pad", "ssl_softdtw")  # the order of rows
SNR_BAND = 5.0  # dB
FIXED_SNRS = 8  # so many different SNRs of a set are named one by one, more in bands
_SEED = re.compile(r"(.+)_seed(\d+)")
_CRITERION = re.compile(r"(ssl_softdtw|ssl_mse_pad|ssl_mse)(_.*|$)")


@dataclass
class Cell:
    """Errors of one system on one test set by one recogniser, utterances sorted by id."""

    ids: list[str]
    errors: np.ndarray  # (n,) mean over seeds
    words: np.ndarray  # (n,)
    counts: dict[str, float]  # S, D, I summed over utterances, mean over seeds
    seeds: int
    recogniser: dict | None  # settings, where known

    def wer(self, where: np.ndarray | None = None) -> tuple[float, float, float]:
        """WER in per cent with its 95 % interval, of all utterances or those of a mask."""
        where = np.ones(len(self.ids), bool) if where is None else where
        return tuple(100 * x for x in rate_interval(self.errors[where], self.words[where]))

    def difference(self, baseline: "Cell") -> tuple[float, float, float]:
        """WER minus the baseline's in per cent, with its paired 95 % interval."""
        return tuple(100 * x for x in difference_interval(self.errors, baseline.errors, self.words))


def family(system: str) -> str:
    """Name of a system without its seed."""
    match = _SEED.fullmatch(system)
    return match[1] if match else system


def criterion_of(system: str) -> str | None:
    """Criterion a system was fine-tuned with, by its name; None for a model that was not."""
    match = _CRITERION.fullmatch(system)
    return match[1] if match else None


def sibling(system: str, criterion: str) -> str:
    """The system that differs from a fine-tuned one in the criterion alone."""
    return criterion + _CRITERION.fullmatch(system)[2]


def order(systems) -> list[str]:
    """Rows of a table: noisy, models that were not fine-tuned, then criterion by criterion."""

    def rank(name):
        criterion = criterion_of(name)
        if criterion:
            return (2, CRITERIONS.index(criterion), name)
        return (0 if name == "noisy" else 1, 0, name)

    return sorted(systems, key=rank)


def members(folder: Path, test_set: str) -> dict[str, list[Path]]:
    """Files of a test set by system, seeds put together; `folder` holds a folder for each system."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*/{test_set}.json")):
        found.setdefault(family(path.parent.name), []).append(path)
    return {system: found[system] for system in order(found)}


def load_wer(folder: str | Path, test_sets: list[str]) -> dict[str, dict[str, Cell]]:
    """Word errors of one recogniser: ``{system: {test set: Cell}}``, systems in order of rows.

    Raises:
        DataError: systems were scored on different utterances or references.
    """
    table: dict[str, dict[str, Cell]] = {}
    for test_set in test_sets:
        first = None
        for system, paths in members(Path(folder), test_set).items():
            for path in paths:
                scores = _read(path)["utterances"]
                words = {key: (value["N"], value["ref"]) for key, value in scores.items()}
                first = first or (path, words)
                if words != first[1]:
                    raise DataError(
                        f"{path} and {first[0]} were scored on different utterances or transcripts; "
                        "score them again (stage 8)"
                    )
            table.setdefault(system, {})[test_set] = _cell(paths)
    return {system: table[system] for system in order(table)}


def _cell(paths: list[Path]) -> Cell:
    results = [_read(path) for path in paths]
    ids = sorted(results[0]["utterances"])

    def column(key: str) -> np.ndarray:
        """(seeds, utterances)"""
        return np.array([[result["utterances"][i][key] for i in ids] for result in results], dtype=float)

    counts = {key: column(key) for key in "SDI"}
    return Cell(
        ids=ids,
        errors=sum(counts.values()).mean(axis=0),
        words=column("N")[0],
        counts={key: float(value.sum(axis=1).mean()) for key, value in counts.items()},
        seeds=len(paths),
        recogniser=results[0]["recogniser"],
    )


def load_signal(folder: str | Path, test_sets: list[str]) -> dict[str, dict[str, dict[str, tuple]]]:
    """Signal metrics: ``{system: {test set: {metric: (mean, low, high, undefined)}}}``, over all seeds.

    Values are averaged over seeds for each utterance; mean is None where no utterance has one.
    """
    table: dict[str, dict[str, dict[str, tuple]]] = {}
    for test_set in test_sets:
        for system, paths in members(Path(folder), test_set).items():
            runs = [_read(path)["utterances"] for path in paths]
            names = [name for name in next(iter(runs[0].values())) if name != "undefined"]
            row = table.setdefault(system, {}).setdefault(test_set, {})
            for name in names:
                values = [
                    np.mean([run[utterance][name] for run in runs])
                    for utterance in sorted(runs[0])
                    if all(run[utterance].get(name) is not None for run in runs)
                ]
                interval = rate_interval(values, np.ones(len(values))) if values else (None,) * 3
                row[name] = (*interval, len(runs[0]) - len(values))
    return {system: table[system] for system in order(table)}


def load_conditions(data_dir: str | Path, test_set: str, ids: list[str]) -> dict[str, np.ndarray]:
    """Noise kind and SNR of each utterance; nothing for a set without noise.

    Returns:
        ``{"noise": (n,) names, "SNR": (n,) like "5 dB" or "0 to 5 dB"}``, as far as utt2noise, utt2snr exist.

    Raises:
        DataError: a scored utterance is not in them, or an SNR is not a number.
    """
    conditions = {}
    for name, file in (("noise", "utt2noise"), ("SNR", "utt2snr")):
        path = Path(data_dir) / test_set / file
        if not path.exists():
            continue
        table = read_scp(path)
        missing = [i for i in ids if i not in table]
        if missing:
            raise DataError(f"{path}: {len(missing)} scored utterances are missing, as {missing[0]}")
        conditions[name] = (
            _snr_names(path, table, ids) if name == "SNR" else np.array([table[i] for i in ids])
        )
    return conditions


def _snr_names(path: Path, table: dict[str, str], ids: list[str]) -> np.ndarray:
    """Each SNR by its value where they were drawn from a few, else by its band, the last one with its end."""
    values = np.empty(len(ids))
    for k, i in enumerate(ids):
        try:
            values[k] = float(table[i])
        except ValueError:
            raise DataError(f"{path}: SNR {table[i]!r} of {i} is not a number") from None
    if len(np.unique(values)) <= FIXED_SNRS:
        return np.array([f"{value:g} dB" for value in values])
    low = SNR_BAND * np.floor(values / SNR_BAND)
    finite = np.isfinite(values)
    low[finite & (values == low) & (values == values[finite].max())] -= SNR_BAND
    return np.array([f"{x:g} to {x + SNR_BAND:g} dB" if np.isfinite(x) else f"{x:g} dB" for x in low])


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: no JSON ({error.msg}); delete it and score again (stage 8)"
        ) from None
