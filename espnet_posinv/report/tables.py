"""The tables, curves and listings of a report, as sections that Markdown and HTML render alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from espnet_posinv.report.document import Line, Listing, Panel, Panels, Section, Strong, Table, interval
from espnet_posinv.report.environment import environment
from espnet_posinv.report.experiment import Experiment, first_cell
from espnet_posinv.report.scores import CONDITIONS, Cell, Grid, load_conditions, read_scores
from espnet_posinv.report.systems import System, baseline_of
from espnet_posinv.scoring.wer import UNITS

SIGNAL_HEADS = {
    "pesq": "PESQ",
    "estoi": "ESTOI",
    "si_sdr": "SI-SDR, dB",
    "dnsmos_ovrl": "DNSMOS overall",
    "dnsmos_sig": "DNSMOS speech",
    "dnsmos_bak": "DNSMOS background",
    "dnsmos_p808": "DNSMOS P.808",
    "speech_bert_score": "SpeechBERTScore",
}
SIGNAL_FORMS = {"si_sdr": ".1f", "estoi": ".3f"}
CONFIGURATION = (
    *("encoder", "encoder_conf", "separator", "separator_conf", "decoder", "decoder_conf", "criterions"),
    *("init_param", "optim", "optim_conf", "scheduler", "scheduler_conf", "grad_clip", "max_epoch"),
    *("num_iters_per_epoch", "batch_type", "batch_size", "batch_bins", "accum_grad"),
)


def environment_section() -> Section:
    """Versions and machine."""
    return Section("Environment", [Table(["", "version"], [list(row) for row in environment().items()])])


def data_section(experiment: Experiment) -> Section:
    """What the test sets hold."""
    rows = []
    grid = next(iter(experiment.words.values()))
    for test_set, cell in next(iter(grid.values())).items():
        conditions = load_conditions(experiment.places.data, test_set, cell.ids)
        noises = ", ".join(sorted(set(conditions.get("noise", [])))) or "-"
        snrs = ", ".join(_sorted_bands(conditions["SNR"])) if "SNR" in conditions else "-"
        rows.append([test_set, str(len(cell.ids)), f"{cell.words.sum():.0f}", noises, snrs])
    return Section("Test sets", [Table(["set", "utterances", first_cell(grid).unit, "noises", "SNR"], rows)])


@dataclass
class WordErrors:
    """What one recogniser heard: whether it was held out, and its tables."""

    name: str
    measure: str  # WER, CER or PER
    took_part: list[str]
    not_known: list[str]  # systems of which it cannot be said
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
        note = f"Took part in training: its encoder is in the loss of {who}, or taught the one that is."
    elif unknown:
        note = (
            "Not known whether it was held out: its weights and those in the loss of "
            f"{', '.join(unknown)} are not both here to be compared."
        )
    if (cell.recogniser or {}).get("compute_type", "").startswith("int8"):
        note += " Its int8 arithmetic may give other words on another processor."
    settings = {k: str(v)[:12] if k.endswith("sha256") else v for k, v in (cell.recogniser or {}).items()}
    settings.pop("weights", None)
    if settings:
        note += f" Settings: {', '.join(f'{key} {settings[key]}' for key in sorted(settings))}."
    conditions = (
        _by_condition(experiment, grid, test_set, condition)
        for condition in CONDITIONS
        for test_set in (places.test_sets if condition in ("group", "language") else places.noisy_sets)
    )
    return WordErrors(
        recogniser,
        UNITS[cell.unit],
        using,
        unknown,
        note,
        Table(["system", "seeds", *places.test_sets], rows),
        list(_differences(experiment, grid)),
        [table for table in (_substitutions(experiment, recogniser), *conditions) if table],
    )


def _substitutions(experiment: Experiment, recogniser: str) -> Table | None:
    """What the recogniser most often writes for other words, in clean speech if there is some."""
    places = experiment.places
    test_set = places.clean_set or places.test_sets[0]
    path = places.scores / recogniser / "noisy" / f"{test_set}.json"
    found = read_scores(path).get("substitutions") if path.exists() else None
    if not found:
        return None
    rows = [[row["ref"], row["hyp"], str(row["times"])] for row in found]
    caption = f"Commonest substitutions in {test_set}, noisy: spellings among them are no errors of hearing"
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
            yield f"Settings that differ as well, between {'; '.join(unequal)}."
    unknown = [s.name for s in systems if not s.trainings and s.name != "noisy"]
    if unknown:
        folder = experiment.places.experiments
        yield f"How these were trained is unknown, {folder} has no config.yaml of them: {', '.join(unknown)}."


def _by_condition(experiment: Experiment, grid: Grid, test_set: str, condition: str) -> Table | None:
    """Error rates by noise kind or SNR; None where the set has no such list."""
    cells = {system: row[test_set] for system, row in grid.items() if test_set in row}
    if not cells:
        return None
    first = next(iter(cells.values()))
    values = load_conditions(experiment.places.data, test_set, first.ids).get(condition)
    if values is None:
        return None
    columns = _sorted_bands(values) if condition == "SNR" else sorted(set(values))
    masks = [values == column for column in columns]
    words = [first.words[mask].sum() for mask in masks]
    head = [f"{column} ({count:.0f} {first.unit})" for column, count in zip(columns, words, strict=True)]
    rows = [
        [system, *(interval(c.wer(m)) if n else "-" for m, n in zip(masks, words, strict=True))]
        for system, c in cells.items()
    ]
    return Table(["system", *head], rows, f"{test_set} by {condition}")


def lps_section(experiment: Experiment) -> Section | None:
    """Levenshtein phone similarity to clean speech (Pirklbauer et al., ITG 2023); None without phones."""
    sets = experiment.places.test_sets
    parts = []
    for recogniser, grid in experiment.lps.items():
        rows = [[name, *(_lps(row.get(t)) for t in sets)] for name, row in grid.items()]
        parts.append(Table(["system", *sets], rows, recogniser))
    if not parts:
        return None
    words = (
        "100 - PER in per cent, with its 95 % interval: the reference is what the recogniser writes for the "
        "clean speech, so no transcripts are needed. It is below 0 where there are many insertions."
    )
    return Section("LPS (Levenshtein phone similarity)", [words, *parts])


def signal_section(experiment: Experiment) -> Section | None:
    """Signal metrics, a table for each test set; None where there are none."""
    tables, undefined = [], 0
    for test_set in experiment.places.test_sets:
        found = {system: row[test_set] for system, row in experiment.signal.items() if test_set in row}
        names = [name for name in SIGNAL_HEADS if any(name in row for row in found.values())]
        rows = []
        for system, row in found.items():
            cells = [(name, row.get(name, (None, None, None, 0))) for name in names]
            undefined += sum(cell[3] for _, cell in cells)
            rows.append([system, *(_signal(name, cell) for name, cell in cells)])
        if rows:
            tables.append(Table(["system", *(SIGNAL_HEADS[name] for name in names)], rows, test_set))
    if not tables:
        return None
    blocks = ["Means over utterances with 95 % intervals, against the clean speech.", *tables]
    if any(SIGNAL_HEADS["dnsmos_ovrl"] in table.head for table in tables):
        blocks.append(
            "DNSMOS is the mean over windows of 9.01 s, one each second; a shorter utterance is repeated "
            "to that length (Microsoft's script repeats it further: up to 0.23 apart in the score of speech)."
        )
    if undefined:
        blocks.append(
            "Undefined: utterances for which a metric has no value, as SI-SDR of the clean speech itself or "
            "PESQ of silence; means are over the others."
        )
    return Section("Signal metrics", blocks)


def task_section(experiment: Experiment) -> Section | None:
    """Other tasks: of several seeds the mean and the range, of one the 95 % interval, if there is one."""
    blocks = []
    test_sets = experiment.places.test_sets
    for task in experiment.tasks:
        rows = [
            [
                system,
                str(len(next(iter(row.values())))),
                *(_task(row.get(test_set)) for test_set in test_sets),
            ]
            for system, row in task.values.items()
        ]
        note = ", ".join(f"{key} {value}" for key, value in task.settings.items() if value not in ("", None))
        table = Table(["system", "seeds", *test_sets], rows)
        blocks.append(Section(f"{task.task}: {task.measure}", [note, table]))
    return Section("Other tasks", blocks) if blocks else None


def training_section(experiment: Experiment) -> Section | None:
    """A row for each training, and its curves; None where nothing was trained."""
    rows, panels = [], []
    for system in experiment.trained:
        lines = []
        for training in (t for t in system.trainings if t.valid.updates):
            config, valid = training.config, training.valid
            best = min(zip(valid.values, valid.updates, strict=True))
            rows.append(
                [
                    training.name,
                    " + ".join(item["name"] for item in config.get("criterions") or []) or "-",
                    Path(system.upstream).name if "/" in system.upstream else system.upstream or "-",
                    f"{(config.get('optim_conf') or {}).get('lr', '-')}",
                    str(config.get("seed", "-")),
                    str(valid.updates[-1]),
                    f"{best[0]:.4g} ({best[1]})",
                    f"{training.minutes:.1f}" if training.minutes else "-",
                ]
            )
            for label, style, curve in (("training", "--", training.train), ("validation", "o-", valid)):
                lines.append(Line(label, system.colour, style, curve.updates, curve.values))
        panels.append(Panel(system.name, "updates", "loss", lines))
    if not rows:
        return None
    head = ["experiment", "criterion", "encoder", "learning rate", "seed", "updates"]
    head += ["lowest validation loss (at update)", "minutes"]
    words = "Training dashed, validation solid, a line for each seed. Criterions have different units."
    alt = "Loss on training and validation data against updates, a panel for each system"
    return Section(
        "Training",
        [Table(head, rows), words, Panels("training", alt, panels, 3), *configurations(experiment.trained)],
    )


def configurations(systems: list[System]) -> list[Listing]:
    """What each system was trained with."""
    listings = []
    for system in systems:
        config = system.config
        kept = {key: config[key] for key in CONFIGURATION if config.get(key) not in (None, {}, [])}
        kept["seed"] = [training.config.get("seed") for training in system.trainings]
        text = yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=110)
        listings.append(Listing(f"Configuration of {system.name}", text))
    return listings


def _sorted_bands(values: np.ndarray) -> list[str]:
    return sorted(set(values), key=lambda band: float(band.split()[0]))


def _rate(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{interval(cell.wer())} ({' / '.join(f'{cell.counts[key]:.4g}' for key in 'SDI')})"


def _lps(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    rate, low, high = cell.wer()
    return interval((100 - rate, 100 - high, 100 - low))


def _difference(cell: Cell | None, baseline: Cell | None) -> str | Strong:
    if cell is None or baseline is None:
        return "-"
    value = cell.difference(baseline)
    text = interval(value, "+.1f")
    return Strong(text) if value[1] > 0 or value[2] < 0 else text


def _signal(name: str, value: tuple) -> str:
    note = f" ({value[3]} undefined)" if value[3] else ""
    return interval(value, SIGNAL_FORMS.get(name, ".2f")) + note


def _task(values: list[dict] | None) -> str:
    if not values:
        return "-"
    numbers = [value["value"] for value in values]
    if len(numbers) > 1:
        return f"{np.mean(numbers):.3g} ({min(numbers):.3g} to {max(numbers):.3g})"
    low, high = values[0]["low"], values[0]["high"]
    return f"{numbers[0]:.3g}" if low is None else interval((numbers[0], low, high), ".3g")
