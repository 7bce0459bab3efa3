"""The sections of a report besides the error rates: data, signal metrics, tasks, trainings, environment."""

from pathlib import Path

import numpy as np
import yaml

from espnet_posinv.report.document import Line, Listing, Panel, Panels, Section, Table, interval
from espnet_posinv.report.environment import environment
from espnet_posinv.report.experiment import Experiment, first_cell
from espnet_posinv.report.scores import Cell, load_conditions
from espnet_posinv.report.systems import System
from espnet_posinv.report.word_tables import sorted_bands

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
    """Size, noises and SNRs of the test sets."""
    rows = []
    grid = next(iter(experiment.words.values()))
    for test_set, cell in next(iter(grid.values())).items():
        conditions = load_conditions(experiment.places.data, test_set, cell.ids)
        noises = ", ".join(sorted(set(conditions.get("noise", [])))) or "-"
        snrs = ", ".join(sorted_bands(conditions["SNR"])) if "SNR" in conditions else "-"
        rows.append([test_set, str(len(cell.ids)), f"{cell.words.sum():.0f}", noises, snrs])
    return Section("Test sets", [Table(["set", "utterances", first_cell(grid).unit, "noises", "SNR"], rows)])


def lps_section(experiment: Experiment) -> Section | None:
    """Levenshtein phone similarity (Pirklbauer et al., ITG 2023); None without a recogniser of phones."""
    sets = experiment.places.test_sets
    parts = []
    for recogniser, grid in experiment.lps.items():
        rows = [[name, *(_lps(row.get(t)) for t in sets)] for name, row in grid.items()]
        parts.append(Table(["system", *sets], rows, recogniser))
    if not parts:
        return None
    words = (
        "100 - PER in per cent with its 95 % interval, where PER compares the phones recognised in a "
        "system's output with those recognised in the clean speech. No transcripts are needed. The value is "
        "below 0 if there are many more phones than in the clean speech."
    )
    return Section("LPS (Levenshtein phone similarity)", [words, *parts])


def signal_section(experiment: Experiment) -> Section | None:
    """Signal metrics, a table for each test set; None if there are none."""
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
            count, size = next(iter(next(iter(found.values())).values()))[4], experiment.sizes.get(test_set)
            caption = test_set if count == size else f"{test_set} ({count} of {size} utterances)"
            tables.append(Table(["system", *(SIGNAL_HEADS[name] for name in names)], rows, caption))
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
            "Undefined: utterances without a value, for instance SI-SDR of the clean speech itself or PESQ "
            "of silence; means are over the others."
        )
    return Section("Signal metrics", blocks)


def task_section(experiment: Experiment) -> Section | None:
    """Other tasks: mean and range over several seeds; for one seed the 95 % interval, if there is one."""
    blocks = []
    test_sets = experiment.places.test_sets
    for task in experiment.tasks:
        rows = [
            [system, str(len(next(iter(row.values())))), *(_task(row.get(t)) for t in test_sets)]
            for system, row in task.values.items()
        ]
        note = ", ".join(f"{key} {value}" for key, value in task.settings.items() if value not in ("", None))
        table = Table(["system", "seeds", *test_sets], rows)
        blocks.append(Section(f"{task.task}: {task.measure}", [note, table]))
    return Section("Other tasks", blocks) if blocks else None


def training_section(experiment: Experiment) -> Section | None:
    """A row for each training, and its curves; None if nothing was trained."""
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
                    " + ".join(Path(u).name if "/" in u else u for u in system.upstreams) or "-",
                    _peak_rate(config),
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
    head = ["experiment", "criterion", "encoder", "peak learning rate", "seed", "updates"]
    head += ["lowest validation loss (at update)", "minutes"]
    words = "Training loss dashed, validation loss solid, one line a seed. Criterions have different units."
    alt = "Loss on training and validation data against updates, a panel for each system"
    return Section(
        "Training",
        [Table(head, rows), words, Panels("training", alt, panels, 3), *configurations(experiment.trained)],
    )


def configurations(systems: list[System]) -> list[Listing]:
    """The configuration of each system's training."""
    listings = []
    for system in systems:
        config = system.config
        kept = {key: config[key] for key in CONFIGURATION if config.get(key) not in (None, {}, [])}
        kept["seed"] = [training.config.get("seed") for training in system.trainings]
        text = yaml.safe_dump(kept, sort_keys=False, default_flow_style=None, width=110)
        listings.append(Listing(f"Configuration of {system.name}", text))
    return listings


def _peak_rate(config: dict) -> str:
    """The learning rate; the highest of a schedule that lists several."""
    rates = (config.get("scheduler_conf") or {}).get("warmup_lr_list")
    return str(max(rates) if rates else (config.get("optim_conf") or {}).get("lr", "-"))


def _lps(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    rate, low, high = cell.wer()
    return interval((100 - rate, 100 - high, 100 - low))


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
