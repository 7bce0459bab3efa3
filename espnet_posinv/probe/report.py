"""A position probe as a section of a report: curves, two tables, and explanations of their columns."""

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from espnet_posinv.files import write_json
from espnet_posinv.probe.probe import INPUT
from espnet_posinv.report.document import Line, Panel, Panels, Section, Table, interval
from espnet_posinv.report.markdown import write_study

GREY, BLUE, ORANGE, GREEN = "#777777", "#0072b2", "#d55e00", "#009e73"


def read_probe(folder: str | Path, expected: dict) -> dict | None:
    """The result in `folder` if it has these inputs, else None."""
    try:
        result = json.loads((Path(folder) / "probe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if result.get("inputs") == expected else None


def write_probe(result: dict, folder: str | Path) -> None:
    """Write probe.json, probe.md, probe.png, and section.json for the report of an experiment."""
    folder = Path(folder)
    write_json(folder / "probe.json", result, allow_nan=False)
    write_study(section(result), folder, "probe")


def section(result: dict) -> Section:
    """The curves and tables of a probe, with explanations of the columns."""
    settings = result["settings"]
    alt = f"Position probe of {result['label']}: the tables below as curves"
    panels = [*_state_panels(result), *_descent_panel(result["exploit"])]
    blocks = [
        f"{result['upstream']} on {result['data']}: {result['segments']} segments of "
        f"{settings['seconds']:g} s, {result['seconds']} s of computation.",
        Panels("probe", alt, panels, 3, own_legends=True),
        _states(result),
        "R² of the frame index: a linear prediction of the index from one frame, on held-out utterances "
        "(mean and range of four folds); shuffled: with the frames of each utterance in random order. Row "
        f"{INPUT} is a baseline without encoder.",
        "Distance ratio: mean squared distance of frames of different utterances at the same index, divided "
        f"by that at indices {settings['gap']:g} s or more apart, with its 95 % interval (jackknife over "
        "utterances). 1: no effect of position; 1 minus the value is the share of the distance due to "
        "position.",
        "Change: mean squared change of a frame when silence before the speech moves its content, or, as a "
        "control, when the silence is after the speech; 1 is the distance to a frame of another utterance.",
        "Two rules of FINALLY (arXiv 2410.05920) for the choice of a layer. Rand index: agreement of k-means "
        "clusters with sounds, each at nine speeds. Rank correlation: of a frame's distance from the clean "
        "frame with the noise level.",
    ]
    if result["exploit"]:
        text = (
            "Gradient descent on the samples of noise with the spectrum of speech "
            f"({settings['steps']} updates) lowers each criterion. The table shows the decrease of the "
            "criterion; the share of it that remains when the clean speech is encoded at a later position; "
            "and the decrease of the log-mel distance to the speech. A criterion that decreases through "
            "position, or without the noise becoming more like speech, can be exploited."
        )
        blocks.append(Section("Can noise lower the loss?", [text, _descents(result)]))
    return Section(f"Position probe: {result['label']}", blocks)


def _states(result: dict) -> Table:
    hops = result["settings"]["hops"]
    rows = []
    for name, row in result["states"].items():
        cells = [_range(row["r2"]), f"{row['shuffled'][0]:.2f}", interval(_ratio(row), ".3f")]
        if "shift" in row:
            moved, control = row["shift"]["before"], row["shift"]["after"]
            cells += [f"{value:.3f}" for value in (moved[0], moved[-1], control[-1])]
            cells += [_range(row["clusters"]), f"{row['noise']['spearman']:.2f}"]
        rows.append([name, *cells, *["-"] * (8 - len(cells))])
    head = ["hidden state", "R² of the frame index", "R², shuffled frames"]
    head += ["distance ratio, same / other position"]
    head += [f"change, speech moved by {_frames(hop)}" for hop in (hops[0], hops[-1])]
    head += [f"change, {_frames(hops[-1])} of silence after the speech (control)"]
    return Table([*head, "Rand index of sounds", "rank correlation of distance and noise"], rows)


def _descents(result: dict) -> Table:
    shifts = next(iter(result["exploit"].values()))["shifts"]
    head = ["criterion", "decrease of the loss, %"]
    head += [f"share of it, speech moved by {_frames(k)}, %" for k in shifts]
    rows = [
        [name, *(_percent(share) for share in (row["fall"], *row["kept"], row["spectrum"]))]
        for name, row in result["exploit"].items()
    ]
    return Table([*head, "decrease of the log-mel distance, %"], rows)


def _state_panels(result: dict) -> list[Panel]:
    rows = result["states"]
    states = {name: row for name, row in rows.items() if "shift" in row}  # without the log-mel spectrogram

    def over(names, label: str, colour: str, values, style: str = "o-") -> Line:
        """Values of each state, or (mean, low, high) of them."""
        values = np.array([np.atleast_1d(v) for v in values], float)
        bars = [values[:, 1].tolist(), values[:, 2].tolist()] if values.shape[1] == 3 else []
        return Line(label, colour, style, list(range(len(names))), values[:, 0].tolist(), *bars)

    read = [
        over(rows, "frames in order", BLUE, [row["r2"] for row in rows.values()]),
        over(rows, "frames shuffled", GREY, [row["shuffled"] for row in rows.values()], "o:"),
    ]
    ratio = over(rows, "", BLUE, [_ratio(row) for row in rows.values()])
    profiles = []
    for (name, row), colour in zip(states.items(), _colours("viridis", len(states)), strict=True):
        lags = np.array(row["index"]["lags"])
        lags = lags[: int(0.9 * len(lags))] / row["index"]["other"]  # the farthest lags have few pairs
        seconds = np.arange(len(lags)) / result["frames_per_second"]
        profiles.append(Line(name, colour, "-", seconds.tolist(), lags.tolist()))
    moved, hops = [], result["settings"]["hops"]
    for k, (hop, colour) in enumerate(zip(hops, _colours("plasma", len(hops)), strict=True)):
        for side, label, style in (("before", f"by {_frames(hop)}", "o-"), ("after", "_control", "x:")):
            changes = (row["shift"][side][k] for row in states.values())
            values = [change if change > 1e-6 else np.nan for change in changes]  # less is rounding
            moved.append(over(states, label, colour, values, style))
    moved.append(Line("silence after the speech (control)", GREY, "x:", [], []))
    noise = [row["noise"]["spearman"] for row in states.values()]
    rules = [
        over(states, "Rand index of sounds", GREEN, [row["clusters"] for row in states.values()]),
        over(states, "rank correlation with noise", ORANGE, noise, "s-"),
    ]
    where, apart = "hidden state", "difference of indices, s"
    every, few = [name.replace("-", "-\n") for name in rows], list(states)
    top = max(1.1, *(1.05 * row["index"]["high"] for row in rows.values()))
    return [
        Panel("Prediction of the index from one frame", where, "R², held out", read, every, [-0.2, 1.05]),
        Panel(
            "Distance of frames of different utterances",
            where,
            "same / other index",
            [ratio],
            every,
            [0, top],
        ),
        Panel("Distance by difference of indices", apart, "distance / mean", profiles, None, [0, None]),
        Panel("The same speech, moved", where, "change / distance to others", moved, few, None, True),
        Panel("Which layer to compare?", where, "Rand index, rank correlation", rules, few, [-0.05, 1.05]),
    ]


def _descent_panel(rows: dict[str, dict]) -> list[Panel]:
    lines = []
    for i, (name, row) in enumerate(rows.items()):
        shares = [
            s if s[0] is not None else [np.nan] * 3 for s in (row["fall"], *row["kept"], row["spectrum"])
        ]
        value, low, high = (100 * np.array(shares, float)).T.tolist()
        x = [k + 0.12 * (i - (len(rows) - 1) / 2) for k in range(len(value))]
        lines.append(Line(name, name, "o", x, value, low, high))
    if not lines:
        return []
    shifts = next(iter(rows.values()))["shifts"]
    ticks = [
        "loss",
        *(f"loss,\nmoved by\n{_frames(k)}" for k in shifts),
        "log-mel\ndistance",
    ]
    return [Panel("Can noise lower the loss?", "", "decrease, % (95 % interval)", lines, ticks)]


def _colours(name: str, count: int) -> list[str]:
    return [matplotlib.colors.to_hex(c) for c in matplotlib.colormaps[name](np.linspace(0.1, 0.9, count))]


def _ratio(row: dict) -> list[float]:
    return [row["index"][key] for key in ("ratio", "low", "high")]


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count > 1)}"


def _range(value: Sequence[float]) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"


def _percent(share: Sequence[float | None]) -> str:
    return interval([None if value is None else 100 * value for value in share], ".0f")
