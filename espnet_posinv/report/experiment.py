"""The data of a report: all results of an experiment, read once, for Markdown and HTML."""

from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.asr.provenance import parts_in_training
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import Section, read_sections
from espnet_posinv.report.scores import Cell, Grid, TaskScores, load_signal, load_tasks, load_wer
from espnet_posinv.report.systems import System, read_systems
from espnet_posinv.scoring.wer import UNITS


@dataclass
class Places:
    """Where a recipe's results are.

    Args:
        scores: ``<recogniser>/<system>/<test set>.json``, ``signal/<system>/<test set>.json`` and
            ``lps/<recogniser>/<system>/<test set>.json``.
        data: ``<test set>/utt2noise`` and ``utt2snr``; for sound also ``wav.scp``, ``spk1.scp`` and ``text``.
        experiments: an ESPnet folder for each system; studies and other tasks.
        test_sets: columns, in order.
        clean_set: the test set without noise, whose noisy row is the clean speech itself; may be empty.
    """

    scores: Path
    data: Path
    experiments: Path
    test_sets: list[str]
    clean_set: str = ""

    @property
    def noisy_sets(self) -> list[str]:
        """Test sets with noise."""
        return [test_set for test_set in self.test_sets if test_set != self.clean_set]


@dataclass
class Experiment:
    """Scores, trainings and studies; every table's rows are in the order of `systems`."""

    places: Places
    systems: dict[str, System]
    words: dict[str, Grid]  # by recogniser
    lps: dict[str, Grid]  # by recogniser of phones: errors against its output for clean speech
    signal: dict[str, dict[str, dict[str, tuple]]]
    tasks: list[TaskScores]
    studies: list[Section]

    @property
    def sizes(self) -> dict[str, int]:
        """Utterances of each test set, as the first recogniser got them."""
        return {t: len(cell.ids) for t, cell in next(iter(next(iter(self.words.values())).values())).items()}

    @property
    def trained(self) -> list[System]:
        """Systems that were trained in this experiment folder."""
        return [s for s in self.systems.values() if any(t.valid.updates for t in s.trainings)]

    def took_part(self, recogniser: str) -> tuple[list[str], list[str]]:
        """Systems trained with this recogniser's encoder, or a student of it, in the loss; systems for which
        this is unknown, such as those without config.yaml. Both empty: the recogniser is held out."""
        settings = first_cell(self.words[recogniser]).recogniser or {"model": recogniser}
        parts = {
            s.name: parts_in_training(settings, s.upstreams) for s in self.systems.values() if s.upstreams
        }
        unknown = [
            s.name
            for s in self.systems.values()
            if (not s.trainings and s.name != "noisy") or any(parts.get(s.name, ([], []))[1])
        ]
        return [name for name, part in parts.items() if part[0]], unknown


def first_cell(grid: Grid) -> Cell:
    """Any cell, for the fields that all cells share."""
    return next(iter(next(iter(grid.values())).values()))


def load(places: Places) -> Experiment:
    """Read an experiment.

    Raises:
        DataError: a test set without scores, scores that do not fit; a clean set that is no test set.
    """
    sets = " ".join(places.test_sets)
    if places.clean_set and places.clean_set not in places.test_sets:
        raise DataError(f"clean set {places.clean_set}: is none of the test sets {sets}; add it there")
    words = _load_recognisers(places.scores, places.test_sets)
    # Recognisers on SSL models, trained on clean speech as in the paper, come first.
    words = dict(sorted(words.items(), key=lambda item: _place(first_cell(item[1]))))
    if not words:
        raise DataError(f"{places.scores}: no scores of {sets}; run stage 8")
    lps = _load_recognisers(places.scores / "lps", places.test_sets)
    signal = load_signal(places.scores / "signal", places.test_sets)
    tasks = load_tasks(places.experiments / "tasks", places.test_sets)
    tables = [*words.values(), signal, *(task.values for task in tasks)]
    scored = {test_set for table in tables for row in table.values() for test_set in row}
    if lacking := [test_set for test_set in places.test_sets if test_set not in scored]:
        raise DataError(f"{places.scores}: no scores of {' '.join(lacking)}; run stage 8, or omit them")
    systems = read_systems(
        {path.parent for path in places.experiments.glob("*/config.yaml")},
        {name for table in tables for name in table},
    )

    def ordered(table: dict) -> dict:
        return {name: table[name] for name in systems if name in table}

    for task in tasks:
        task.values = ordered(task.values)
    return Experiment(
        places,
        systems,
        {name: ordered(grid) for name, grid in words.items()},
        {name: ordered(lps[name]) for name in words if name in lps},
        ordered(signal),
        tasks,
        read_sections(places.experiments),
    )


def _place(cell: Cell) -> tuple[int, bool]:
    """Position of a recogniser in the report."""
    return list(UNITS)[::-1].index(cell.unit), (cell.recogniser or {}).get("backend") != "ssl_ctc"


def _load_recognisers(scores: Path, test_sets: list[str]) -> dict[str, Grid]:
    """Errors by each recogniser that has a folder there and scores of these sets."""
    names = sorted(p.name for p in scores.glob("*") if p.is_dir() and p.name not in ("signal", "lps"))
    return {name: grid for name in names if (grid := load_wer(scores / name, test_sets))}
