"""Reads the scores of a recipe: ``<recogniser, signal or task>/<system>/<test set>.json``.

A system trained with several seeds has folders ``<system>_seed<k>``. Its errors are averaged over the seeds
for each utterance, so that its interval is one over utterances, like that of other systems.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.report.systems import family
from espnet_posinv.scoring.bootstrap import checked, difference_interval, rate_interval

SNR_BAND = 5.0  # dB
CONDITIONS = {"group": "utt2group", "language": "utt2lang", "noise": "utt2noise", "SNR": "utt2snr"}
FIXED_SNRS = 8  # up to this number of SNRs in a set, each is shown; more are grouped into bands


@dataclass
class Cell:
    """Errors of one system on one test set by one recogniser, utterances sorted by id."""

    ids: list[str]
    errors: np.ndarray  # (n,) mean over seeds
    words: np.ndarray  # (n,)
    counts: dict[str, float]  # S, D, I summed over utterances, mean over seeds
    seeds: int
    recogniser: dict | None  # settings, if known
    unit: str  # words, characters or phones

    def wer(self, where: np.ndarray | None = None) -> tuple[float, float, float]:
        """Error rate in per cent with its 95 % interval, of all utterances or those of a mask."""
        where = np.ones(len(self.ids), bool) if where is None else where
        return tuple(100 * x for x in rate_interval(self.errors[where], self.words[where]))

    def difference(self, baseline: "Cell") -> tuple[float, float, float]:
        """Error rate minus the baseline's in per cent, with its paired 95 % interval."""
        return tuple(100 * x for x in difference_interval(self.errors, baseline.errors, self.words))


Grid = dict[str, dict[str, Cell]]  # by system and test set


def members(folder: Path, test_set: str) -> dict[str, list[Path]]:
    """Files of a test set by system, one for each seed; `folder` holds a folder for each system."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*/{test_set}.json"), key=lambda p: (len(p.parent.name), p)):
        found.setdefault(family(path.parent.name), []).append(path)
    return found


def _runs(folder: Path, test_sets: list[str]) -> Iterator[tuple[str, str, list[dict]]]:
    """System, test set, and the contents of each seed's file."""
    for test_set in test_sets:
        for system, paths in members(folder, test_set).items():
            yield system, test_set, [read_scores(path) for path in paths]


def read_scores(path: Path) -> dict:
    """The contents of a file of scores, with its path under "path"."""
    with _naming(path):
        return {**json.loads(path.read_text(encoding="utf-8")), "path": path}


@contextmanager
def _naming(path: Path | str) -> Iterator[None]:
    """Name the file where its contents are not what the block expects."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: no scores ({why}); delete it and score again (stage 8)") from None


def load_wer(folder: str | Path, test_sets: list[str]) -> Grid:
    """Word errors of one recogniser.

    Raises:
        DataError: systems were scored with different utterances, references or units.
    """
    table: Grid = {}
    first: dict[str, tuple] = {}
    for system, test_set, runs in _runs(Path(folder), test_sets):
        for run in runs:
            with _naming(run["path"]):
                words = {key: (value["N"], value["ref"]) for key, value in run["utterances"].items()}
                cell = _cell([run])
                checked(cell.errors, cell.words)
            path, expected = first.setdefault(test_set, (run["path"], (words, run.get("unit"))))
            if (words, run.get("unit")) != expected:
                raise DataError(
                    f"{run['path']} and {path} were scored on different utterances or transcripts; "
                    "score them again (stage 8)"
                )
        table.setdefault(system, {})[test_set] = _cell(runs)
    return table


def _cell(runs: list[dict]) -> Cell:
    ids = sorted(runs[0]["utterances"])

    def column(key: str) -> np.ndarray:
        """(seeds, utterances)"""
        return np.array([[run["utterances"][i][key] for i in ids] for run in runs], dtype=float)

    counts = {key: column(key) for key in "SDI"}
    return Cell(
        ids=ids,
        errors=sum(counts.values()).mean(axis=0),
        words=column("N")[0],
        counts={key: float(value.sum(axis=1).mean()) for key, value in counts.items()},
        seeds=len(runs),
        recogniser=runs[0]["recogniser"],
        unit=runs[0].get("unit", "words"),
    )


def load_signal(folder: str | Path, test_sets: list[str]) -> dict[str, dict[str, dict[str, tuple]]]:
    """Signal metrics: ``{system: {test set: {metric: (mean, low, high, undefined, utterances)}}}``.

    Values are averaged over all seeds for each utterance; mean is None if no utterance has a value.
    """
    table: dict[str, dict[str, dict[str, tuple]]] = {}
    for system, test_set, runs in _runs(Path(folder), test_sets):
        with _naming(", ".join(str(run["path"]) for run in runs)):
            row = _signal_row([run["utterances"] for run in runs])
        if row:  # none after --metrics none
            table.setdefault(system, {})[test_set] = row
    return table


def _signal_row(utterances: list[dict[str, dict]]) -> dict[str, tuple]:
    if not utterances[0]:
        raise ValueError("no utterance")
    row = {}
    for name in (name for name in next(iter(utterances[0].values())) if name != "undefined"):
        values = [
            np.mean([scores[utterance][name] for scores in utterances])
            for utterance in sorted(utterances[0])
            if all(scores[utterance].get(name) is not None for scores in utterances)
        ]
        interval = rate_interval(values, np.ones(len(values))) if values else (None,) * 3
        row[name] = (*interval, len(utterances[0]) - len(values), len(utterances[0]))
    return row


@dataclass
class TaskScores:
    """One measure of another task: ``{system: {test set: [of each seed {"value", "low", "high"}]}}``."""

    task: str
    measure: str
    settings: dict
    values: dict[str, dict[str, list[dict]]]


def load_tasks(folder: str | Path, test_sets: list[str]) -> list[TaskScores]:
    """All measures of all tasks under a folder.

    Raises:
        DataError: a file that ``posinv score task`` did not write.
    """
    found: dict[tuple[str, str], TaskScores] = {}
    for task in sorted(path for path in Path(folder).glob("*") if path.is_dir()):
        for system, test_set, runs in _runs(task, test_sets):
            for run in runs:
                with _naming(run["path"]):
                    run["settings"].items()
                    values = {
                        measure: {key: value[key] for key in ("value", "low", "high")}
                        for measure, value in run["total"].items()
                    }
                for measure, value in values.items():
                    scores = found.setdefault(
                        (task.name, measure), TaskScores(task.name, measure, run["settings"], {})
                    )
                    scores.values.setdefault(system, {}).setdefault(test_set, []).append(value)
    return list(found.values())


def load_conditions(data_dir: str | Path, test_set: str, ids: list[str]) -> dict[str, np.ndarray]:
    """Noise kind and SNR of each utterance, and language and group if the set has several.

    Returns:
        ``{"noise": (n,), "SNR": (n,) like "5 dB" or "0 to 5 dB", "group": (n,), "language": (n,)}``, as far
        as utt2noise, utt2snr, utt2group and utt2lang exist; the last two if there are several values.

    Raises:
        DataError: a scored utterance is not in them, or an SNR is not a number.
    """
    conditions = {}
    for name, file in CONDITIONS.items():
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
        if name in ("group", "language") and len(set(conditions[name])) < 2:
            del conditions[name]
    return conditions


def _snr_names(path: Path, table: dict[str, str], ids: list[str]) -> np.ndarray:
    """Names of SNRs: values if there are few different ones, else bands."""
    values = np.empty(len(ids))
    for k, i in enumerate(ids):
        try:
            values[k] = float(table[i])
        except ValueError:
            raise DataError(f"{path}: SNR {table[i]!r} of {i} is not a number") from None
    if len(np.unique(values)) <= FIXED_SNRS:
        return np.array([f"{value:g} dB" for value in values])
    low = SNR_BAND * np.floor(values / SNR_BAND) + 0.0  # a -0.0 is in the band of 0
    finite = np.isfinite(values)
    low[finite & (values == low) & (values == values[finite].max())] -= SNR_BAND
    return np.array([f"{x:g} to {x + SNR_BAND:g} dB" if np.isfinite(x) else f"{x:g} dB" for x in low])
