"""What an ablation found: one table with intervals, and a heat map where two factors vary."""

from pathlib import Path

import numpy as np

from espnet_posinv.ablation.grid import Ablation
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import Picture, Section, Strong, Table, interval
from espnet_posinv.report.figures import pyplot, save_figure
from espnet_posinv.report.markdown import write_study
from espnet_posinv.report.scores import Cell, Grid, load_wer


def collect(ablation: Ablation) -> Path:
    """Write ``table.md``, ``section.json`` and heat maps into ``<expdir>/ablation``; returns the first.

    Raises:
        DataError: nothing was scored yet.
    """
    folder, scores = ablation.expdir / "ablation", ablation.expdir / "scores"
    blocks: list = [
        "WER in per cent with its 95 % interval (bootstrap over utterances; seeds averaged for each "
        "utterance), and in brackets the paired difference to the first row of its grid and model; bold "
        "where the interval of the difference leaves out zero."
    ]
    for recogniser in sorted({path.parts[-3] for path in scores.glob("*/*/*.json")} - {"signal"}):
        sets = sorted({path.stem for path in (scores / recogniser).glob("*/*.json")})
        grid = load_wer(scores / recogniser, sets)
        tables: list = []
        for name in dict.fromkeys(e.grid for e in ablation.experiments):
            rows = _rows(ablation, name, grid, sets)
            if not rows:
                continue
            tables.append(Table(["system", "values", "seeds", *sets], rows, f"Grid {name}"))
            for model in _models(ablation, name, grid):
                path = folder / f"{recogniser}_{model}_{name}.png"
                if heat_map(ablation, name, model, grid, sets, path):
                    tables.append(Picture(str(path), f"WER by the factors of {name}, {model}"))
        if tables:
            blocks.append(Section(recogniser, tables))
    if len(blocks) == 1:
        raise DataError(f"{scores}: none of the {len(ablation.experiments)} experiments was scored yet")
    section = Section("Ablation", blocks)
    write_study(section, folder, "table")
    return folder / "table.md"


def _models(ablation: Ablation, grid: str, table: Grid) -> list[str]:
    """``<criterion>_<upstream>`` of a grid's systems."""
    ends = [f"_{e.tag}" for e in ablation.experiments if e.grid == grid]
    return list(dict.fromkeys(name.removesuffix(end) for name in table for end in ends if name.endswith(end)))


def _rows(ablation: Ablation, grid: str, table: Grid, sets: list[str]) -> list[list]:
    rows = []
    for model in _models(ablation, grid, table):
        first = None
        for experiment in (e for e in ablation.experiments if e.grid == grid):
            row = table.get(f"{model}_{experiment.tag}")
            if row is None:
                continue
            values = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in experiment.values.items())
            cells = [_cell(row.get(t), first.get(t) if first else None) for t in sets]
            rows.append([model, values, str(next(iter(row.values())).seeds), *cells])
            first = first or row
    return rows


def _cell(cell: Cell | None, first: Cell | None) -> str | Strong:
    if cell is None or first is None:
        return interval(cell.wer()) if cell else "-"
    difference, low, high = cell.difference(first)
    text = f"{interval(cell.wer())} ({difference:+.1f})"
    return Strong(text) if low > 0 or high < 0 else text


def heat_map(ablation: Ablation, grid: str, model: str, table: Grid, sets: list[str], path: Path) -> bool:
    """Draw WER against two factors, a panel a test set; False where a grid does not have two that vary."""
    points = [e for e in ablation.experiments if e.grid == grid]
    values: dict[str, list[str]] = {}
    for key in points[0].values:
        values[key] = list(dict.fromkeys(str(e.values[key]) for e in points))
    factors = [key for key, found in values.items() if len(found) > 1]
    if len(factors) != 2:
        return False
    down, across = factors
    size = (1.2 + 4.2 * len(sets), 3.6)
    figure, panels = pyplot().subplots(1, len(sets), figsize=size, squeeze=False, layout="constrained")
    figure.suptitle(model)
    for panel, test_set in zip(panels[0], sets, strict=True):
        rates = np.full((len(values[down]), len(values[across])), np.nan)
        for e in points:
            cell = table.get(f"{model}_{e.tag}", {}).get(test_set)
            if cell is not None:
                y, x = (values[key].index(str(e.values[key])) for key in factors)
                rates[y, x] = cell.wer()[0]
                box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.8}
                text = interval(cell.wer()).replace(" [", "\n[")
                panel.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box)
        figure.colorbar(panel.imshow(rates, cmap="cividis", aspect="auto"), ax=panel, label="WER, %")
        panel.set_xticks(range(len(values[across])), values[across])
        panel.set_yticks(range(len(values[down])), values[down])
        panel.set_xlabel(across.split(".")[-1])
        panel.set_ylabel(down.split(".")[-1])
        panel.set_title(test_set)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    return True
