"""A position probe as a section of a report: curves, two tables, and what their columns mean."""

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from espnet_posinv.files import atomic_write
from espnet_posinv.probe.probe import INPUT
from espnet_posinv.report.document import Line, Panel, Panels, Section, Table, interval
from espnet_posinv.report.markdown import write_study

GREY, BLUE, ORANGE, GREEN = "#777777", "#0072b2", "#d55e00", "#009e73"


def read_probe(folder: str | Path, expected: dict) -> dict | None:
    """The probe in `folder` if it was made of these inputs."""
    try:
        result = json.loads((Path(folder) / "probe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if result.get("inputs") == expected else None


def write_probe(result: dict, folder: str | Path) -> None:
    """Write probe.json, probe.md, probe.png, and section.json for the report of an experiment."""
    folder = Path(folder)
    with atomic_write(folder / "probe.json") as file:
        json.dump(result, file, indent=1, allow_nan=False)
        file.write("\n")
    write_study(section(result), folder, "probe")


def section(result: dict) -> Section:
    """The curves and tables of a probe, with what each column means."""
    settings = result["settings"]
    alt = f"Position probe of {result['label']}: the tables below as curves"
    panels = [*_state_panels(result), *_descent_panel(result["exploit"])]
    blocks = [
        f"{result['upstream']} on {result['data']}: {result['stretches']} stretches of "
        f"{settings['seconds']:g} s, {result['seconds']} s of computation.",
        Panels("probe", alt, panels, 3, own_legends=True),
        _states(result),
        "Position read from one frame: R² of a linear read-out of a frame's index, on held-out utterances "
        "(mean and range of four folds); shuffled: the same with the frames of each utterance in random "
        f"order. Row {INPUT} is what the content itself tells.",
        "Distance at the same position: mean squared distance of frames of different utterances at one index "
        f"over that at indices {settings['gap']:g} s or more apart, with its 95 % interval (jackknife over "
        "utterances). 1: position does not matter; 1 minus the value is the share of the distance that is "
        "position.",
        "Change: mean squared change of a frame when silence is put before the speech, so that its content "
        "comes later, or after it, which moves nothing; 1 is the distance to a frame of another utterance.",
        "Two rules of FINALLY (arXiv 2410.05920) for the layer to compare. Same sounds cluster: adjusted "
        "Rand index of k-means clusters and sounds, each at nine speeds. Distance grows with noise: rank "
        "correlation of a frame's distance from the clean one with the noise.",
    ]
    if result["exploit"]:
        text = (
            "Noise with the spectrum of speech is changed by gradient descent on its samples "
            f"({settings['steps']} updates) to lower each criterion. How far the criterion falls, how much "
            "of that fall is left when the clean speech is encoded later, and how much nearer the log-mel "
            "spectrogram comes to that of the speech: a loss that falls through position, or without "
            "becoming more like speech, can be deceived."
        )
        blocks.append(Section("Can noise lower the loss?", [text, _descents(result)]))
    return Section(f"Position probe: {result['label']}", blocks)


def _states(result: dict) -> Table:
    hops = result["settings"]["hops"]
    rows = []
    for name, row in result["states"].items():
        cells = [_range(row["r2"]), f"{row['shuffled'][0]:.2f}", interval(_ratio(row), ".3f")]
        if "shift" in row:
            front, behind = row["shift"]["front"], row["shift"]["behind"]
            cells += [f"{value:.3f}" for value in (front[0], front[-1], behind[-1])]
            cells += [_range(row["clusters"]), f"{row['noise']['spearman']:.2f}"]
        rows.append([name, *cells, *["-"] * (8 - len(cells))])
    head = ["hidden state", "position read from one frame, R²", "R², frames shuffled"]
    head += ["distance at the same position / at others"]
    head += [f"change, {_frames(hops[0])} later", f"change, {_frames(hops[-1])} later"]
    head += [
        f"change, silence after ({_frames(hops[-1])})",
        "same sounds cluster",
        "distance grows with noise",
    ]
    return Table(head, rows)


def _descents(result: dict) -> Table:
    shifts = next(iter(result["exploit"].values()))["shifts"]
    head = ["criterion", "fall of the loss, %", *(f"of it left {_frames(k)} later, %" for k in shifts)]
    rows = [
        [name, *(_percent(share) for share in (row["fall"], *row["kept"], row["spectrum"]))]
        for name, row in result["exploit"].items()
    ]
    return Table([*head, "log-mel distance removed, %"], rows)


def _state_panels(result: dict) -> list[Panel]:
    rows = result["states"]
    states = {name: row for name, row in rows.items() if "shift" in row}  # without the log-mel spectrogram

    def over(names, label: str, colour: str, values, style: str = "o-") -> Line:
        """Values of each state, or their (mean, low, high)."""
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
        for side, label, style in (("front", f"{_frames(hop)} later", "o-"), ("behind", "_control", "x:")):
            changes = (row["shift"][side][k] for row in states.values())
            values = [change if change > 1e-6 else np.nan for change in changes]  # less is rounding
            moved.append(over(states, label, colour, values, style))
    moved.append(Line("silence after the speech", GREY, "x:", [], []))
    noise = [row["noise"]["spearman"] for row in states.values()]
    rules = [
        over(states, "same sounds cluster", GREEN, [row["clusters"] for row in states.values()]),
        over(states, "distance grows with noise", ORANGE, noise, "s-"),
    ]
    where, apart = "hidden state", "difference of position, s"
    every, few = [name.replace("-", "-\n") for name in rows], list(states)
    top = max(1.1, *(1.05 * row["index"]["high"] for row in rows.values()))
    return [
        Panel("Can the position be read from one frame?", where, "R², held out", read, every, [-0.2, 1.05]),
        Panel(
            "How much of the distance is position?", where, "same / other position", [ratio], every, [0, top]
        ),
        Panel("Frames of different utterances", apart, "distance / mean", profiles, None, [0, None]),
        Panel("The same speech, later", where, "change / distance to others", moved, few, None, True),
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
        "fall of\nthe loss",
        *(f"left, {k}\nframes\nlater" for k in shifts),
        "log-mel\ndistance\nremoved",
    ]
    return [Panel("Can noise lower the loss?", "", "% (95 % interval)", lines, ticks)]


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
