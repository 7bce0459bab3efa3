"""What an ablation found: one table with intervals, and a heat map where two factors vary."""

from pathlib import Path

import numpy as np

from espnet_posinv.ablation.grid import Ablation
from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.figures import pyplot, save_figure
from espnet_posinv.report.markdown import markdown
from espnet_posinv.report.results import Cell, load_wer

Table = dict[str, dict[str, Cell]]


def collect(ablation: Ablation) -> Path:
    """Write ``<expdir>/ablation/table.md`` and its heat maps; returns the path of the table.

    Raises:
        DataError: nothing was scored yet.
    """
    folder, scores = ablation.expdir / "ablation", ablation.expdir / "scores"
    parts = [
        "# Ablation",
        "WER in per cent with its 95 % interval (bootstrap over utterances; seeds averaged for each "
        "utterance), and in brackets the paired difference to the first row of its grid and model; bold: its "
        "interval does not hold 0.",
    ]
    recognisers = sorted({path.parts[-3] for path in scores.glob("*/*/*.json")} - {"signal"})
    for recogniser in recognisers:
        sets = sorted({path.stem for path in (scores / recogniser).glob("*/*.json")})
        table = load_wer(scores / recogniser, sets)
        parts.append(f"## {recogniser}")
        for grid in dict.fromkeys(e.grid for e in ablation.experiments):
            rows = _rows(ablation, grid, table, sets)
            if not rows:
                continue
            parts += [f"### {grid}", markdown(["system", "values", "seeds", *sets], rows)]
            for model in _models(ablation, grid, table):
                path = folder / "images" / f"{recogniser}_{model}_{grid}.png"
                if heat_map(ablation, grid, model, table, sets, path):
                    parts.append(f"![{grid}, {model}](images/{path.name})")
    if len(parts) <= 2 + len(recognisers):
        raise DataError(f"{scores}: none of the {len(ablation.experiments)} experiments was scored yet")
    with atomic_write(folder / "table.md") as file:
        file.write("\n\n".join(parts) + "\n")
    return folder / "table.md"


def _models(ablation: Ablation, grid: str, table: Table) -> list[str]:
    """``<criterion>_<upstream>`` of a grid's systems."""
    ends = [f"_{e.tag}" for e in ablation.experiments if e.grid == grid]
    return list(dict.fromkeys(name.removesuffix(end) for name in table for end in ends if name.endswith(end)))


def _rows(ablation: Ablation, grid: str, table: Table, sets: list[str]) -> list[list[str]]:
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


def _cell(cell: Cell | None, first: Cell | None) -> str:
    if cell is None:
        return "-"
    wer, low, high = cell.wer()
    text = f"{wer:.1f} [{low:.1f}, {high:.1f}]"
    if first is None:
        return text
    difference, low, high = cell.difference(first)
    mark = "**" if low > 0 or high < 0 else ""
    return f"{text} ({mark}{difference:+.1f}{mark})"


def heat_map(ablation: Ablation, grid: str, model: str, table: Table, sets: list[str], path: Path) -> bool:
    """Draw WER against two factors, a panel a test set; False where a grid does not have two that vary."""
    points = [e for e in ablation.experiments if e.grid == grid]
    axes_values = {key: [] for key in points[0].values}
    for e in points:
        for key, value in e.values.items():
            if value not in axes_values[key]:
                axes_values[key].append(value)
    factors = [key for key, values in axes_values.items() if len(values) > 1]
    if len(factors) != 2:
        return False
    down, across = factors
    plt = pyplot()
    figure, panels = plt.subplots(
        1, len(sets), figsize=(1.2 + 4.2 * len(sets), 3.6), squeeze=False, layout="constrained"
    )
    figure.suptitle(model)
    for panel, test_set in zip(panels[0], sets, strict=True):
        grid_values = np.full((len(axes_values[down]), len(axes_values[across])), np.nan)
        for e in points:
            cell = table.get(f"{model}_{e.tag}", {}).get(test_set)
            if cell is not None:
                place = axes_values[down].index(e.values[down]), axes_values[across].index(e.values[across])
                wer, low, high = cell.wer()
                grid_values[place] = wer
                text = f"{wer:.1f}\n[{low:.1f}, {high:.1f}]"
                box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.8}
                panel.text(place[1], place[0], text, ha="center", va="center", fontsize=9, bbox=box)
        image = panel.imshow(grid_values, cmap="cividis", aspect="auto")
        figure.colorbar(image, ax=panel, label="WER, %")
        panel.set_xticks(range(grid_values.shape[1]), [str(v) for v in axes_values[across]])
        panel.set_yticks(range(grid_values.shape[0]), [str(v) for v in axes_values[down]])
        panel.set_xlabel(across.split(".")[-1])
        panel.set_ylabel(down.split(".")[-1])
        panel.set_title(test_set)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)
    return True
