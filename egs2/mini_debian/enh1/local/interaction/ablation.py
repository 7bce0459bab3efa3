"""Grids of conf/ablation.yaml as cells of the experiment: what varies is a setting of the criterion."""

import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from espnet_posinv.ablation.grid import Experiment, read_ablation
from espnet_posinv.criterions import criterion_class
from espnet_posinv.enh.model_folder import ssl_criterion
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.recipe.config import load
from espnet_posinv.report.document import Section, Strong, Table
from espnet_posinv.report.markdown import write_study
from interaction.report import Results, told


class Grids:
    """Some grids of a file. Points with the same settings, such as every grid's default, are one cell.

    Args:
        path: of the file.
        wanted: names of its grids.

    Raises:
        ConfigError: see `read_ablation`.
        ValueError: a grid varies something else than a criterion's settings: `posinv ablate` trains it.
    """

    def __init__(self, path: Path, wanted: list[str]):
        self.wanted = wanted
        read_ablation(path, wanted)  # their names
        plain = []
        for name, grid in load(path)["grids"].items():
            other = sorted(grid.keys() - {"criterion", "vary"}) + [key for key in grid["vary"] if "." in key]
            if not other:
                plain.append(name)
            elif name in wanted:
                raise ValueError(f"--grids {name}: {other[0]} is not the criterion's; use posinv ablate")
        self.points = read_ablation(path, plain).experiments

    def cells(self, encoders: list[str]) -> dict[str, dict]:
        """Criterion (name and conf) of each cell ``CRITERION-TAG@ENCODER``."""
        return {
            f"{self.names[criterion, point.tag]}@{encoder}": _criterion(point, criterion)
            for criterion, point in self.each()
            if point.grid in self.wanted
            for encoder in encoders
        }

    def each(self) -> Iterator[tuple[str, Experiment]]:
        """Every point with each of its criterions."""
        return ((name, point) for point in self.points for name in point.options["criterion"].split())

    @cached_property
    def names(self) -> dict[tuple[str, str], str]:
        """Of each criterion and tag: the name of the first point in the file with the same settings."""
        first: dict[str, str] = {}
        return {
            (criterion, point.tag): first.setdefault(
                repr((criterion, _settings(_criterion(point, criterion)))), f"{criterion}-{point.tag}"
            )
            for criterion, point in self.each()
        }


def _criterion(point: Experiment, name: str) -> dict:
    found = ssl_criterion(f"conf/criterion/{name}.yaml")
    return {**found, "conf": found["conf"] | point.values}


def _settings(criterion: dict) -> list:
    """What differs from the criterion's defaults, sorted."""
    defaults: dict = {}
    for kind in reversed(criterion_class(criterion["name"]).__mro__):  # a class overrules its parents
        defaults |= {k: p.default for k, p in inspect.signature(kind.__init__).parameters.items()}
    conf = {k: tuple(v) if isinstance(v, list) else v for k, v in criterion["conf"].items()}
    return sorted((k, v) for k, v in conf.items() if v != defaults.get(k))


def report(folder: Path, path: Path, wanted: list[str], output: Path) -> None:
    """Write ablation.md: phone error rates of each point, and differences to the first of its grid.

    Raises:
        DataError: no scores, or no grid of which the first point and another one were scored.
    """
    results, grids = Results(folder), Grids(path, wanted)
    facts = results.facts["unseen"]
    note = (
        f"{results.seeds} seeds a point, {results.last} updates, {len(facts['names'])} utterances in unseen "
        "noise. Phone error rates in per cent with 95 % intervals over resampled seeds and utterances; in "
        "brackets the paired difference to the first row, bold where its interval leaves out zero. Columns: "
        "whose BLSTM recognises."
    )
    tables = [table for grid in wanted for table in _tables(results, grids, grid)]
    if not tables:
        raise DataError(
            f"{folder}: of no grid of {', '.join(wanted)} the first point and another were scored"
        )
    output.mkdir(parents=True, exist_ok=True)
    write_study(Section("Ablation on a GPU", [note, *tables]), output, "ablation")


def _tables(results: Results, grids: Grids, grid: str) -> list[Table]:
    """One for each criterion and encoder of which the grid's first point and another one were scored."""
    points = [point for point in grids.points if point.grid == grid]
    sampled, tables = results.resamples("unseen"), []
    for criterion in points[0].options["criterion"].split():
        for encoder in results.encoders:
            cells = [f"{grids.names[criterion, point.tag]}@{encoder}" for point in points]
            scored = [results.last in results.steps("unseen", cell) for cell in cells]
            if not scored[0] or sum(scored) < 2:
                continue
            rows, first = [], {}
            for point, cell in ((p, c) for p, c, there in zip(points, cells, scored, strict=True) if there):
                errors = results.errors("unseen", cell, results.last)
                rates = {judge: sampled.rate(errors[judge]) for judge in errors}
                first = first or rates
                values = ", ".join(f"{key} {value}" for key, value in point.values.items())
                rows.append([values, *(_told(rates[j], first[j]) for j in rates)])
            tables.append(Table(["values", *first], rows, f"{grid}: {criterion} through {encoder}"))
    return tables


def _told(rate: np.ndarray, first: np.ndarray) -> str | Strong:
    if rate is first:
        return told(rate)
    difference = told(rate - first, "+.1f")
    strong = isinstance(difference, Strong)
    text = f"{told(rate)} ({difference.text if strong else difference})"
    return Strong(text) if strong else text
