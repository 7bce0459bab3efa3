"""Tables and curves of the experiment, with intervals over seeds and utterances."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.files import read_json
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import Line, Panel, Panels, Section, Strong, Table
from espnet_posinv.report.markdown import write_study

SAMPLES, LEVEL = 4000, (2.5, 97.5)
BASE = "ssl_mse"
CURVES = {  # colour, style
    **{"ssl_mse": ("ssl_mse", "o-"), "ssl_mse_pad": ("ssl_mse_pad", "s--")},
    **{"ssl_mse_shift": ("#CC79A7", "d:"), "ssl_softdtw": ("ssl_softdtw", "^-")},
}
Errors = dict[str, np.ndarray]  # by judge: (seeds, utterances)


@dataclass
class Resamples:
    """Rates over drawn seeds and utterances; the same draws for every cell, so differences are paired."""

    words: np.ndarray  # (utterances,)
    seeds: int

    def __post_init__(self):
        rng = np.random.default_rng(0)
        count = len(self.words)
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=SAMPLES)
        self.weights = np.vstack([np.ones(count), drawn])  # first what was measured itself
        chosen = rng.multinomial(self.seeds, np.full(self.seeds, 1 / self.seeds), size=SAMPLES)
        self.share = np.vstack([np.ones(self.seeds), chosen]) / self.seeds

    def rate(self, errors: np.ndarray) -> np.ndarray:
        """Per cent of each resample, (1 + SAMPLES,), of errors (seeds, utterances); one row: no seeds."""
        share = self.share if len(errors) > 1 else np.ones((len(self.weights), 1))
        return 100 * ((self.weights @ errors.T) * share).sum(1) / (self.weights @ self.words)


class Results:
    """What `score` left in a folder.

    Args:
        folder: the experiment's.

    Raises:
        DataError: no scores, or cells without a common checkpoint.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.facts = {p.name.split(".")[0]: read_json(p) for p in folder.glob("*.facts.json")}
        files = [p for p in folder.glob("*@*/step*.json")]
        if not files or "unseen" not in self.facts:
            raise DataError(f"{folder}: no scores of a set named unseen; run train and score first")
        self.files = {(p.parent.name, int(p.stem[4:])): self._scores(p) for p in files}
        cells = sorted({cell for cell, _ in self.files})
        self.cells = [cell for cell in cells if self.steps("unseen", cell)]
        self.unscored = [cell for cell in cells if cell not in self.cells]
        trained = {cell.split("@")[1] for cell in self.cells}
        self.encoders = [encoder for encoder in self.facts["unseen"]["lps"] if encoder in trained]
        counts = {len(found["unseen"]) for found in self.files.values() if "unseen" in found}
        if len(counts) > 1:
            raise DataError(f"{folder}: cells with {sorted(counts)} seeds; one folder for each experiment")
        self.seeds = max(counts, default=0)
        common = [self.steps("unseen", cell) for cell in self.cells]
        if not (steps := set.intersection(*map(set, common))):
            raise DataError(f"{folder}: the cells have no scored checkpoint in common")
        self.last = max(steps)

    def _scores(self, path: Path) -> dict[str, list[dict]]:
        """Of each set, the errors of each seed; what is scored whole is scored in part."""
        found = read_json(path)
        if "unseen" in found and "half" in self.facts and "half" not in found:
            places = {name: i for i, name in enumerate(self.facts["unseen"]["names"])}
            kept = [places[name] for name in self.facts["half"]["names"]]
            found["half"] = [
                {j: {kind: [x[i] for i in kept] for kind, x in errors.items()} for j, errors in seed.items()}
                for seed in found["unseen"]
            ]
        return found

    def steps(self, name: str, cell: str) -> list[int]:
        """Checkpoints of a cell that are scored on a set."""
        return sorted(step for (c, step), found in self.files.items() if c == cell and name in found)

    def errors(self, name: str, cell: str, step: int, kind: str = "per") -> Errors:
        """Of each judge (seeds, utterances); of a model that was not trained here, one row."""
        if cell == "noisy":
            found = [read_json(self.folder / f"{name}.noisy.json")]
        elif "@" in cell and step:
            found = self.files[cell, step][name]
        else:
            path = self.folder / ("nsnet2" if "@" in cell else cell) / "step0.json"
            found = self._scores(path)[name]
        return {judge: np.array([row[judge][kind] for row in found], float) for judge in found[0]}

    def resamples(self, name: str, judge: str = "") -> Resamples:
        """Of a set; with a judge, of the phones that it hears in the clean speech."""
        facts = self.facts[name]
        return Resamples(np.array(facts["lps"][judge] if judge else facts["per"], float), self.seeds)


def told(values: np.ndarray, form: str = ".1f") -> str | Strong:
    """Measured value and interval; strong where it is a difference whose interval leaves out zero."""
    low, high = np.percentile(values[1:], LEVEL)
    text = f"{values[0]:{form}} [{low:{form}}, {high:{form}}]"
    return Strong(text) if form.startswith("+") and low * high > 0 else text


def report(folder: Path, output: Path) -> None:
    """Write interaction.md with its figure into `output`."""
    results = Results(folder)
    last, seeds, facts = results.last, results.seeds, results.facts
    note = (
        f"{seeds} seeds a cell, {last} updates, {len(facts['unseen']['names'])} utterances of each test set. "
        "Phone error rates in per cent, 95 % intervals over resampled seeds and utterances; differences are "
        "paired, bold where the interval leaves out zero. Columns: whose BLSTM recognises; noisy: as it is."
    )
    if results.unscored:
        note += f" Left out, since not scored on test_unseen: {', '.join(results.unscored)}."
    blocks = [note, Panels("convergence", _alt(results), _panels(results), 3)]
    blocks += [_rates(results, name) for name in ("unseen", "seen", "clean") if name in facts]
    blocks += [_differences(results, name) for name in ("unseen", "seen") if name in facts]
    blocks += [_interaction(results), _speed(results)]
    output.mkdir(parents=True, exist_ok=True)
    write_study(Section("Is it position?", blocks), output, "interaction")


def _rates(results: Results, name: str) -> Table:
    sampled = results.resamples(name)
    by_judge = {judge: results.resamples(name, judge) for judge in results.encoders}
    rows = []
    trained = [cell for cell in results.cells if results.last in results.steps(name, cell)]
    for cell in ["noisy", "nsnet2", *_others(results), *trained]:
        errors = results.errors(name, cell, results.last)
        away = results.errors(name, cell, results.last, "lps")
        rows.append([cell, *(told(sampled.rate(errors[judge])) for judge in results.encoders)])
        rows[-1] += [told(100 - by_judge[judge].rate(away[judge])) for judge in results.encoders]
    head = [f"PER: {judge}" for judge in results.encoders] + [f"LPS: {judge}" for judge in results.encoders]
    return Table(["model", *head], rows, f"test_{name}")


def _others(results: Results) -> list[str]:
    return sorted(p.parent.name for p in results.folder.glob("nsnet2_*/step0.json"))


def _differences(results: Results, name: str) -> Table:
    sampled, rows = results.resamples(name), []
    for encoder in results.encoders:
        for criterion in _criterions(results, encoder):
            found = _against_base(results, sampled, name, criterion, encoder)
            rows.append(
                [f"{criterion}@{encoder}", *(told(found(judge), "+.1f") for judge in results.encoders)]
            )
    return Table(["minus ssl_mse", *results.encoders], rows, f"test_{name}: through the same encoder")


def _criterions(results: Results, *encoders: str) -> list[str]:
    """Those that were trained through all of some encoders, but SSL-MSE."""
    each = ({cell.split("@")[0] for cell in results.cells if cell.endswith(f"@{e}")} for e in encoders)
    return sorted(set.intersection(*each) - {BASE})


def _against_base(results, sampled, name, criterion, encoder) -> Callable[[str], np.ndarray]:
    one, other = (results.errors(name, f"{c}@{encoder}", results.last) for c in (criterion, BASE))
    return lambda judge: sampled.rate(one[judge]) - sampled.rate(other[judge])


def _interaction(results: Results) -> Table:
    """Is a criterion's gain over SSL-MSE larger than it is through the position-free twin?"""
    rows, free = [], results.encoders[0]
    for name in [n for n in ("unseen", "seen") if n in results.facts]:
        sampled = results.resamples(name)
        for encoder in results.encoders[1:]:
            for criterion in _criterions(results, free, encoder):
                here, there = (_against_base(results, sampled, name, criterion, e) for e in (encoder, free))
                cells = [told(here(judge) - there(judge), "+.1f") for judge in results.encoders]
                rows.append([f"{criterion}, {encoder} and {free}, {name}", *cells])
    return Table(["gain over ssl_mse, difference", *results.encoders], rows, "the interaction")


def _curve(results: Results, cell: str, sampled: Resamples) -> tuple[list[int], np.ndarray]:
    """Updates and rates (points, 1 + SAMPLES) by the judge of the cell's own encoder."""
    judge = cell.split("@")[1]
    steps = [0, *(s for s in results.steps("half", cell) if s <= results.last)]
    return steps, np.stack([sampled.rate(results.errors("half", cell, s)[judge]) for s in steps])


def _speed(results: Results) -> Table:
    """Updates until 90 % of the gain at the last common checkpoint, and that against SSL-MSE's."""
    sampled, rows, times = results.resamples("half"), [], {}
    measured = results.folder / "speed.json"
    speed = read_json(measured) if measured.is_file() else {"seconds": {}, "seeds": results.seeds}
    if speed["seeds"] != results.seeds:
        raise DataError(
            f"{measured}: of {speed['seeds']} models at once, the cells have {results.seeds}; "
            "delete it and run speed"
        )
    seconds = speed["seconds"]
    for cell in results.cells:
        steps, rates = _curve(results, cell, sampled)
        goal = rates[0] - 0.9 * (rates[0] - rates[-1])
        # From which point on it stays below the goal, on straight lines between checkpoints
        reached = np.full(rates.shape[1], float(steps[-1]))
        for i in range(len(steps) - 1, 0, -1):
            a, b = rates[i - 1], rates[i]
            good = (rates[i:] <= goal).all(0)
            share = np.clip((a - goal) / np.where(a > b, a - b, 1), 0, 1)
            here = steps[i - 1] + share * (steps[i] - steps[i - 1])
            reached = np.where(good & (a > goal), here, reached)
        times[cell] = reached, rates[0] - rates[-1]
    gained = {cell for cell, (_, gain) in times.items() if np.percentile(gain[1:], LEVEL[0]) > 0}
    for cell, (reached, gain) in times.items():
        base = f"{BASE}@{cell.split('@')[1]}"
        rows.append([cell, told(gain), told(reached, ".0f") if cell in gained else "no certain gain"])
        compared = cell != base and {cell, base} <= gained
        rows[-1].append(told(reached - times[base][0], "+.0f") if compared else "")
        if seconds:
            known = cell in seconds and cell in gained
            rows[-1].append(told(reached * seconds[cell], ".1f") if known else "")
    head = ["model", "gain of PER", "updates to 90 % of it", "minus ssl_mse"]
    if seconds:
        head.append(f"seconds to 90 % of it, {speed['device']}")
    return Table(head, rows, "convergence")


def _alt(results: Results) -> str:
    count = len(results.facts["half"]["names"])
    return f"Phone error rate on {count} utterances in unseen noise against updates"


def _panels(results: Results) -> list[Panel]:
    sampled, panels = results.resamples("half"), []
    for encoder in results.encoders:
        lines = []
        for cell in (c for c in results.cells if c.endswith(f"@{encoder}")):
            steps, rates = _curve(results, cell, sampled)
            low, high = np.percentile(rates[:, 1:] - rates[:1, 1:], LEVEL, axis=1) + rates[0, 0]
            name = cell.split("@")[0]
            x = [float(step) for step in steps]
            lines.append(Line(name, *CURVES[name], x, rates[:, 0].tolist(), low.tolist(), high.tolist()))
        panels.append(Panel(f"through {encoder}", "updates", "PER, %", lines))
    return panels
