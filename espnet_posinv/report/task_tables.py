"""Tables of the scores of tasks: ``<task>/<system>/<test set>.json`` of `posinv score task`."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.results import members


class TaskTable(NamedTuple):
    """One measure of one task: a row for each system, a column for each test set."""

    task: str
    measure: str
    head: list[str]
    rows: list[list[str]]
    note: str


def task_tables(folder: str | Path, test_sets: list[str]) -> list[TaskTable]:
    """Tables of all tasks under a folder, systems in the order of the other tables.

    Of several seeds of a system the mean stands with the range; of one the 95 % interval, if there is one.

    Raises:
        DataError: a file that `posinv score task` did not write.
    """
    tables = []
    for task in sorted(path for path in Path(folder).glob("*") if path.is_dir()):
        cells: dict[str, dict[str, dict[str, str]]] = {}  # measure, system, test set
        settings, seeds = {}, {}
        for test_set in test_sets:
            for system, paths in members(task, test_set).items():
                results = [_read(path) for path in paths]
                settings, seeds[system] = results[0]["settings"], len(paths)
                for measure in results[0]["total"]:
                    values = [result["total"][measure] for result in results]
                    cells.setdefault(measure, {}).setdefault(system, {})[test_set] = _cell(values)
        note = ", ".join(f"{key} {value}" for key, value in settings.items() if value not in ("", None))
        for measure, systems in cells.items():
            rows = [
                [f"`{system}`", str(seeds[system]), *(row.get(test_set, "-") for test_set in test_sets)]
                for system, row in systems.items()
            ]
            tables.append(TaskTable(task.name, measure, ["system", "seeds", *test_sets], rows, note))
    return tables


def _cell(values: list[dict]) -> str:
    numbers = [value["value"] for value in values]
    if len(numbers) > 1:
        return f"{np.mean(numbers):.3g} ({min(numbers):.3g} to {max(numbers):.3g})"
    low, high = values[0]["low"], values[0]["high"]
    return f"{numbers[0]:.3g}" + ("" if low is None else f" [{low:.3g}, {high:.3g}]")


def _read(path: Path) -> dict:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        return {"settings": result["settings"], "total": result["total"]}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no scores of `posinv score task` ({error}); delete it and score again"
        ) from None
