"""Grids of conf/ablation.yaml as cells of the experiment: what varies is a setting of the criterion."""

import inspect
from collections.abc import Sequence
from pathlib import Path

from espnet_posinv.ablation.grid import Ablation, Experiment, read_ablation
from espnet_posinv.criterions import criterion_class
from espnet_posinv.enh.model_folder import ssl_criterion
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import Section, Strong, Table
from espnet_posinv.report.markdown import write_study
from interaction.report import Results, told


def cells(path: Path, grids: list[str], encoders: list[str]) -> dict[str, dict]:
    """Criterion (name and conf) of each cell ``CRITERION-TAG@ENCODER``.

    Points with the same settings, such as every grid's default, are one cell.

    Raises:
        ConfigError: see `read_ablation`.
        ValueError: a grid varies something else than the criterion: `posinv ablate` trains it.
    """
    points = read_ablation(path, grids).experiments
    return {
        f"{same[0]}@{encoder}": _criterion(point, name)
        for point in points
        for name in point.options["criterion"].split()
        for encoder in encoders
        if (same := _alike(points, point, name))[0] == _name(point, name)
    }


def _name(point: Experiment, criterion: str) -> str:
    return f"{criterion}-{point.tag}"


def _alike(points: Sequence[Experiment], point: Experiment, criterion: str) -> list[str]:
    """Names of the points with the settings of `point`, itself among them: defaults need not be written."""
    cls = criterion_class(_criterion(point, criterion)["name"])
    defaults: dict = {}
    for kind in reversed(cls.__mro__):  # what a class says replaces what its parents say
        defaults |= {k: p.default for k, p in inspect.signature(kind.__init__).parameters.items()}

    def settings(p):
        conf = {
            k: tuple(v) if isinstance(v, list) else v for k, v in _criterion(p, criterion)["conf"].items()
        }
        return {k: v for k, v in conf.items() if v != defaults.get(k)}

    names = (p for p in points if criterion in p.options["criterion"].split())
    return [_name(p, criterion) for p in names if settings(p) == settings(point)]


def _criterion(point: Experiment, name: str) -> dict:
    if other := [key for key in point.values if "." in key]:
        raise ValueError(f"--grids {point.grid}: {other[0]} is not the criterion's; use posinv ablate")
    found = ssl_criterion(f"conf/criterion/{name}.yaml")
    return {**found, "conf": found["conf"] | point.values}


def report(folder: Path, path: Path, grids: list[str], output: Path) -> None:
    """Write ablation.md: phone error rates of each point, and differences to the first of its grid."""
    results, ablation = Results(folder), read_ablation(path, grids)
    facts = results.facts["unseen"]
    note = (
        f"{results.seeds} seeds a point, {results.last} updates, {len(facts['names'])} utterances in unseen "
        "noise. Phone error rates in per cent with 95 % intervals over resampled seeds and utterances; in "
        "brackets the paired difference to the first row, bold where its interval leaves out zero. Columns: "
        "whose BLSTM recognises."
    )
    tables = [
        t
        for grid in dict.fromkeys(p.grid for p in ablation.experiments)
        for t in _tables(results, ablation, grid)
    ]
    if not tables:
        raise DataError(f"{folder}: no point of {', '.join(grids)} was scored")
    output.mkdir(parents=True, exist_ok=True)
    write_study(Section("Ablation on a GPU", [note, *tables]), output, "ablation")


def _tables(results: Results, ablation: Ablation, grid: str) -> list[Table]:
    """One for each criterion and encoder of which several points of the grid were scored."""
    points = [p for p in ablation.experiments if p.grid == grid]
    sampled, tables = results.resamples("unseen"), []
    for criterion in points[0].options["criterion"].split():
        for encoder in results.encoders:
            rows, first = [], None
            for point in points:
                names = (f"{name}@{encoder}" for name in _alike(ablation.experiments, point, criterion))
                cell = next((c for c in names if results.last in results.steps("unseen", c)), None)
                if cell is None:
                    continue
                errors = results.errors("unseen", cell, results.last)
                rates = {judge: sampled.rate(errors[judge]) for judge in errors}
                first = first or rates
                values = ", ".join(f"{key} {value}" for key, value in point.values.items())
                rows.append([values, *(_told(rates[j], first[j]) for j in rates)])
            if len(rows) > 1:
                caption = f"{grid}: {criterion} through {encoder}"
                tables.append(Table(["values", *rates], rows, caption))
    return tables


def _told(rate, first) -> str | Strong:
    if rate is first:
        return told(rate)
    difference = told(rate - first, "+.1f")
    strong = isinstance(difference, Strong)
    text = f"{told(rate)} ({difference.text if strong else difference})"
    return Strong(text) if strong else text
