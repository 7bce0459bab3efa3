"""RESULTS.md of a recipe: environment, trainings, word error rates with intervals, signal metrics.

Intervals are 95 % bootstrap intervals over utterances; differences are paired. Bold differences have an
interval without zero.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from espnet_posinv.analysis.environment import environment
from espnet_posinv.analysis.pages import find_pages, section
from espnet_posinv.analysis.plots import plot_training, plot_wer
from espnet_posinv.analysis.results import (
    Cell,
    criterion_of,
    family,
    load_conditions,
    load_signal,
    load_wer,
    order,
    sibling,
)
from espnet_posinv.analysis.task_tables import task_tables
from espnet_posinv.analysis.training import Training, read_training
from espnet_posinv.asr.provenance import parts_in_training
from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError

Table = dict[str, dict[str, Cell]]  # system, test set
SIGNAL_HEADS = {
    "pesq": "PESQ",
    "estoi": "ESTOI",
    "si_sdr": "SI-SDR, dB",
    "dnsmos_ovrl": "DNSMOS overall",
    "dnsmos_sig": "speech",
    "dnsmos_bak": "background",
    "dnsmos_p808": "P.808",
    "speech_bert_score": "SpeechBERTScore",
}


@dataclass
class Places:
    """Where a recipe's results lie.

    Args:
        scores: ``<recogniser>/<system>/<test set>.json`` and ``signal/<system>/<test set>.json``.
        data: ``<test set>/utt2noise`` and ``utt2snr``.
        experiments: an ESPnet folder for each system.
        test_sets: columns, in order.
        clean_set: the one without noise; its noisy row is the clean speech itself. May be empty.
        pretrained: the model that fine-tuning started from. May be empty.
    """

    scores: Path
    data: Path
    experiments: Path
    test_sets: list[str]
    clean_set: str = ""
    pretrained: str = ""


def load(places: Places) -> tuple[dict[str, Table], list[Training]]:
    """Word errors by recogniser, and the trainings.

    Raises:
        DataError: there are no scores, or they do not fit together.
    """
    names = sorted(path.name for path in places.scores.glob("*") if path.is_dir() and path.name != "signal")
    tables = {name: load_wer(places.scores / name, places.test_sets) for name in names}
    tables = {name: table for name, table in tables.items() if table}
    if not tables:
        raise DataError(f"{places.scores}: no scores of {' '.join(places.test_sets)}; run stage 8")
    trainings = [read_training(folder) for folder in sorted(places.experiments.iterdir()) if folder.is_dir()]
    return tables, [training for training in trainings if training]


def write_report(places: Places, output: str | Path, *, title: str = "Results") -> None:
    """Write `output`, and its pictures into the folder ``images`` beside it.

    Raises:
        DataError: there are no scores, or they do not fit together.
    """
    tables, trainings = load(places)
    images = Path(output).parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    plot_wer(tables, places, images / "wer.png")
    parts = [f"# {title}", _environment(), *data_tables(next(iter(tables.values())), places)]
    parts += [
        "## Word error rates",
        "WER in per cent with the 95 % interval of a bootstrap over utterances, and substitutions / "
        "deletions / insertions. Several seeds of a system are averaged for each utterance.",
        "![WER by condition and system](images/wer.png)",
    ]
    for name, table in tables.items():
        parts += recogniser_tables(name, table, trainings, places)
    parts += signal_tables(places)
    parts += _tasks(places)
    if trainings:
        plot_training(trainings, images / "training.png")
        parts += ["## Training", training_table(trainings), "![Training curves](images/training.png)"]
        parts += ["### Configurations", *(configuration(group) for group in by_family(trainings))]
    parts += [section(path, images) for path in find_pages(places.experiments)]
    with atomic_write(output) as file:
        file.write("\n\n".join(parts) + "\n")


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; the first column is aligned left, the others right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _environment() -> str:
    rows = [[name, f"`{value}`"] for name, value in environment().items()]
    return "## Environment\n\n" + markdown(["", "version"], rows)


def data_tables(table: Table, places: Places) -> list[str]:
    """What the test sets hold, as Markdown paragraphs."""
    first = next(iter(table.values()))
    rows = []
    for test_set, cell in first.items():
        conditions = load_conditions(places.data, test_set, cell.ids)
        kinds = ", ".join(sorted(set(conditions.get("noise", [])))) or "-"
        bands = ", ".join(_sorted_bands(conditions["SNR"])) if "SNR" in conditions else "-"
        rows.append([test_set, str(len(cell.ids)), f"{cell.words.sum():.0f}", kinds, bands])
    return ["## Test sets", markdown(["set", "utterances", "words", "noises", "SNR"], rows)]


def recogniser_tables(name: str, table: Table, trainings: list[Training], places: Places) -> list[str]:
    """Word errors of one recogniser: all, differences to baselines, by condition."""
    parts = [f"### {name}", _part_in_training(name, table, trainings)]
    parts.append(
        markdown(
            ["system", "seeds", *places.test_sets],
            [
                [_label(system), str(next(iter(row.values())).seeds)]
                + [_wer(row[test_set]) if test_set in row else "-" for test_set in places.test_sets]
                for system, row in table.items()
            ],
        )
    )
    if places.clean_set:
        parts.append(f"In column {places.clean_set} the noisy row is the clean speech itself, unprocessed.")
    for title, baseline_of in _baselines(places, table):
        rows = []
        for system, row in table.items():
            baseline = table.get(baseline_of(system) or "")
            if baseline and baseline is not row:
                cells = [
                    _difference(row[t].difference(baseline[t])) if t in row and t in baseline else "-"
                    for t in places.test_sets
                ]
                rows.append([_label(system), *cells])
        if rows:
            parts += [f"Difference to {title}:", markdown(["system", *places.test_sets], rows)]
    noisy_sets = [test_set for test_set in places.test_sets if test_set != places.clean_set]
    for condition in ("noise", "SNR"):
        parts += _by_condition(condition, table, noisy_sets, places)
    return parts


def _baselines(places: Places, table: Table):
    """Titles and functions from a system to the one it is compared with."""
    yield "noisy (no enhancement)", lambda system: "noisy"
    if places.pretrained in table:
        yield f"{places.pretrained}, which fine-tuning started from", lambda system: places.pretrained

    def ssl_mse(system: str) -> str | None:
        return sibling(system, "ssl_mse") if criterion_of(system) else None

    yield "ssl_mse, all else equal", ssl_mse


def _by_condition(condition: str, table: Table, test_sets: list[str], places: Places) -> list[str]:
    """WER by noise kind or SNR band, one table for each noisy test set."""
    parts = []
    for test_set in test_sets:
        cells = {system: row[test_set] for system, row in table.items() if test_set in row}
        if not cells:
            continue
        ids = next(iter(cells.values())).ids
        values = load_conditions(places.data, test_set, ids).get(condition)
        if values is None:
            continue
        columns = _sorted_bands(values) if condition == "SNR" else sorted(set(values))
        masks = [values == column for column in columns]
        words = next(iter(cells.values())).words
        head = [f"{c} ({words[mask].sum():.0f} words)" for c, mask in zip(columns, masks, strict=True)]
        rows = [
            [_label(system)] + [_interval(cell.wer(mask)) if words[mask].sum() else "-" for mask in masks]
            for system, cell in cells.items()
        ]
        parts += [f"{test_set} by {condition}:", markdown(["system", *head], rows)]
    return parts


def _part_in_training(name: str, table: Table, trainings: list[Training]) -> str:
    """Whether a recogniser, or the encoder below it, was in the loss of a training."""
    cell = next(iter(next(iter(table.values())).values()))
    settings = cell.recogniser or {}
    named = settings or {"model": name}
    parts = {family(t.name): parts_in_training(named, t.upstreams) for t in trainings}
    using, unknown = (sorted(f for f, part in parts.items() if part[k]) for k in (0, 1))
    shown = {key: str(value)[:12] if key.endswith("sha256") else value for key, value in settings.items()}
    shown.pop("weights", None)
    detail = f" Settings: {', '.join(f'{key} {shown[key]}' for key in sorted(shown))}." if shown else ""
    if using:
        who = ", ".join(using)
        part = f"its encoder is in the loss of {who}, or taught the one that is"
        return f"**Took part in training**: {part}.{detail}"
    if unknown:
        who = ", ".join(unknown)
        return (
            "Not known whether it took part in training: its weights and those in the loss of "
            f"{who} cannot both be read here and compared.{detail}"
        )
    return f"Held out: no part of it was used in training (by its weights).{detail}"


def signal_tables(places: Places) -> list[str]:
    """Signal metrics, a table for each test set; nothing where there are none."""
    table = load_signal(places.scores / "signal", places.test_sets)
    if not table:
        return []
    parts = ["## Signal metrics", "Means over utterances with 95 % intervals, against the clean speech."]
    for test_set in places.test_sets:
        rows, undefined = [], 0
        names = [m for m in SIGNAL_HEADS if any(m in row.get(test_set, {}) for row in table.values())]
        for system, row in table.items():
            if test_set not in row:
                continue
            cells = [row[test_set].get(name, (None,) * 4) for name in names]
            undefined += sum(cell[3] or 0 for cell in cells)
            rows.append(
                [_label(system)] + [_signal_cell(name, c) for name, c in zip(names, cells, strict=True)]
            )
        if rows:
            parts += [f"{test_set}:", markdown(["system", *(SIGNAL_HEADS[name] for name in names)], rows)]
        if undefined:
            parts.append(
                "Undefined: utterances for which a metric has no value, as SI-SDR of the clean speech itself "
                "or PESQ of silence; means are over the others."
            )
    return parts


def _tasks(places: Places) -> list[str]:
    tables = task_tables(places.experiments / "tasks", places.test_sets)
    parts = ["## Other tasks"] if tables else []
    for table in tables:
        parts += [f"### {table.task}: {table.measure}", table.note, markdown(table.head, table.rows)]
    return parts


def _signal_cell(name: str, value: tuple) -> str:
    mean, low, high, undefined = value
    digits = 1 if name == "si_sdr" else 3 if name == "estoi" else 2
    note = f" ({undefined} undefined)" if undefined else ""
    if mean is None:
        return f"-{note}"
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]{note}"


def training_table(trainings: list[Training]) -> str:
    """A row for each training."""
    rows = []
    for training in sorted(trainings, key=lambda t: order([t.name, "noisy"]).index(t.name)):
        config, valid = training.config, training.valid
        best = min(zip(valid.values, valid.updates, strict=True), default=None)
        rows.append(
            [
                f"`{training.name}`",
                training.criterion,
                ", ".join(Path(u).name if "/" in u else u for u in training.upstreams) or "-",
                f"{(config.get('optim_conf') or {}).get('lr', '-')}",
                str(config.get("seed", "-")),
                str(valid.updates[-1]) if valid.updates else "-",
                f"{best[0]:.4g} at {best[1]}" if best else "-",
                f"{training.minutes:.1f}" if training.minutes else "-",
            ]
        )
    head = ["experiment", "criterion", "encoder", "lr", "seed", "updates", "best valid loss", "minutes"]
    return markdown(head, rows)


def by_family(trainings: list[Training]) -> list[list[Training]]:
    """Seeds of a system put together."""
    groups: dict[str, list[Training]] = {}
    for training in trainings:
        groups.setdefault(family(training.name), []).append(training)
    return [groups[name] for name in order(groups)]


def configuration(group: list[Training]) -> str:
    """What was asked for, as far as it stands beside the experiment; else ESPnet's model part."""
    config = group[0].config
    keys = ("encoder", "encoder_conf", "separator", "separator_conf", "decoder", "decoder_conf", "criterions")
    keys += ("init_param", "optim", "optim_conf", "scheduler", "scheduler_conf", "grad_clip", "max_epoch")
    keys += ("num_iters_per_epoch", "batch_type", "batch_size", "batch_bins", "accum_grad")
    kept = {key: config[key] for key in keys if config.get(key) not in (None, {}, [])}
    kept["seed"] = [training.config.get("seed") for training in group]
    text = yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=110)
    name = family(group[0].name)
    return f"<details><summary>{name}</summary>\n\n```yaml\n{text}```\n\n</details>"


def _sorted_bands(values: np.ndarray) -> list[str]:
    return sorted(set(values), key=lambda band: float(band.split()[0]))


def _label(system: str) -> str:
    return f"`{system}`"


def _interval(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.1f} [{value[1]:.1f}, {value[2]:.1f}]"


def _wer(cell: Cell) -> str:
    counts = " / ".join(f"{cell.counts[key]:.4g}" for key in "SDI")
    return f"{_interval(cell.wer())} ({counts})"


def _difference(value: tuple[float, float, float]) -> str:
    text = f"{value[0]:+.1f} [{value[1]:+.1f}, {value[2]:+.1f}]"
    return f"**{text}**" if value[1] > 0 or value[2] < 0 else text
