"""The tables of one recogniser: error rates, differences to baselines, rates by condition."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from espnet_posinv.report.document import Strong, Table, interval
from espnet_posinv.report.experiment import Experiment, first_cell
from espnet_posinv.report.scores import CONDITIONS, Cell, Grid, load_conditions, read_scores
from espnet_posinv.report.systems import baseline_of
from espnet_posinv.scoring.wer import UNITS


@dataclass
class WordErrors:
    """Tables of one recogniser, and whether it was held out from training."""

    name: str
    measure: str  # WER, CER or PER
    took_part: list[str]  # systems in whose training the recogniser took part
    not_known: list[str]  # systems for which this is unknown
    note: str
    rates: Table
    differences: list  # paragraphs and tables
    conditions: list[Table]


def word_errors(experiment: Experiment, recogniser: str) -> WordErrors:
    """Error rates of one recogniser: all, differences to baselines, by condition."""
    grid, places = experiment.words[recogniser], experiment.places
    cell = first_cell(grid)
    rows = [
        [system, str(next(iter(row.values())).seeds), *(_rate(row.get(t)) for t in places.test_sets)]
        for system, row in grid.items()
    ]
    using, unknown = experiment.took_part(recogniser)
    note = "Held out: no part of it was used in training."
    if using:
        who = ", ".join(using)
        note = f"Took part in training: its encoder is in the loss of {who}, "
        note += "or its encoder was the teacher of the encoder in the loss."
    elif unknown:
        note = (
            "Unknown whether it was held out: its weights, or those in the loss of "
            f"{', '.join(unknown)}, are not here to be compared."
        )
    if (cell.recogniser or {}).get("compute_type", "").startswith("int8"):
        note += " Its int8 arithmetic may give different words on another processor."
    counts = {t: len(c.ids) for t, c in next(iter(grid.values())).items()}
    sizes = experiment.sizes
    if some := [f"{n} of {sizes[t]} in {t}" for t, n in counts.items() if n != sizes.get(t, n)]:
        note += f" Utterances: {', '.join(some)}."
    settings = {
        k: str(v)[:12] if k.endswith("sha256") else v
        for k, v in (cell.recogniser or {}).items()
        if k != "weights" and v not in ("", None)
    }
    if settings:
        note += f" Settings: {', '.join(f'{key} {settings[key]}' for key in sorted(settings))}."
    conditions = (
        _by_condition(experiment, grid, test_set, condition)
        for condition in CONDITIONS
        for test_set in (places.test_sets if condition in ("group", "language") else places.noisy_sets)
    )
    return WordErrors(
        name=recogniser,
        measure=UNITS[cell.unit],
        took_part=using,
        not_known=unknown,
        note=note,
        rates=Table(["system", "seeds", *places.test_sets], rows),
        differences=list(_differences(experiment, grid)),
        conditions=[table for table in (_substitutions(experiment, recogniser), *conditions) if table],
    )


def _substitutions(experiment: Experiment, recogniser: str) -> Table | None:
    """The most frequent substitutions of the recogniser, in clean speech if there is a clean set."""
    places = experiment.places
    test_set = places.clean_set or places.test_sets[0]
    path = places.scores / recogniser / "noisy" / f"{test_set}.json"
    found = read_scores(path).get("substitutions") if path.exists() else None
    if not found:
        return None
    rows = [[row["ref"], row["hyp"], str(row["times"])] for row in found]
    caption = (
        f"Most frequent substitutions in {test_set}, noisy; different spellings are not recognition errors"
    )
    return Table(["transcript", "recognised", "times"], rows, caption)


def _differences(experiment: Experiment, grid: Grid) -> Iterator:
    """A table for each kind of baseline."""
    systems = [experiment.systems[name] for name in grid]
    tuned = [s for s in systems if s.criterion]
    starts = {s.name: experiment.systems.get(s.start) for s in systems}
    mses = {s.name: baseline_of(s, systems) for s in tuned}
    names = ", ".join(dict.fromkeys(s.name for s in starts.values() if s and s.name in grid))
    noisy = dict.fromkeys(grid, experiment.systems.get("noisy"))
    for caption, baselines in (
        ("Difference to noisy, no enhancement", noisy),
        (f"Difference to {names}, which fine-tuning started from", starts),
        ("Difference to ssl_mse through the same encoder", mses),
    ):
        rows, unequal = [], []
        for system in systems:
            baseline = baselines.get(system.name)
            if baseline is None or baseline is system or baseline.name not in grid:
                continue
            pairs = (
                (grid[system.name].get(t), grid[baseline.name].get(t)) for t in experiment.places.test_sets
            )
            rows.append([system.name, *(_difference(*pair) for pair in pairs)])
            if baselines is mses and system.differences(baseline):
                unequal.append(
                    f"{system.name} and {baseline.name}: {', '.join(system.differences(baseline))}"
                )
        if rows:
            yield Table(["system", *experiment.places.test_sets], rows, caption)
        if unequal:
            yield f"Other settings that differ, between {'; '.join(unequal)}."
    unknown = [s.name for s in systems if not s.trainings and s.name != "noisy"]
    if unknown:
        folder = experiment.places.experiments
        yield f"Their training is unknown, since {folder} has no config.yaml of them: {', '.join(unknown)}."


def _by_condition(experiment: Experiment, grid: Grid, test_set: str, condition: str) -> Table | None:
    """Error rates by a condition, such as noise kind or SNR; None if the set has no such list."""
    cells = {system: row[test_set] for system, row in grid.items() if test_set in row}
    if not cells:
        return None
    first = next(iter(cells.values()))
    values = load_conditions(experiment.places.data, test_set, first.ids).get(condition)
    if values is None:
        return None
    columns = sorted_bands(values) if condition == "SNR" else sorted(set(values))
    masks = [values == column for column in columns]
    words = [first.words[mask].sum() for mask in masks]
    head = [f"{column} ({count:.0f} {first.unit})" for column, count in zip(columns, words, strict=True)]
    rows = [
        [system, *(interval(c.wer(m)) if n else "-" for m, n in zip(masks, words, strict=True))]
        for system, c in cells.items()
    ]
    return Table(["system", *head], rows, f"{test_set} by {condition}")


def sorted_bands(values: np.ndarray) -> list[str]:
    return sorted(set(values), key=lambda band: float(band.split()[0]))


def _rate(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{interval(cell.wer())} ({' / '.join(f'{cell.counts[key]:.4g}' for key in 'SDI')})"


def _difference(cell: Cell | None, baseline: Cell | None) -> str | Strong:
    if cell is None or baseline is None:
        return "-"
    value = cell.difference(baseline)
    text = interval(value, "+.1f")
    return Strong(text) if value[1] > 0 or value[2] < 0 else text
