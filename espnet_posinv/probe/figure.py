"""The figure of a position probe: six panels, from what one frame tells to what a loss makes of it."""

from pathlib import Path

import numpy as np

from espnet_posinv.report.figures import COLOURS, pyplot, save_figure

GREY, BLUE, ORANGE, GREEN = "#777777", "#0072B2", "#D55E00", "#009E73"


def save_probe(result: dict, path: Path) -> None:
    """Draw a result of :func:`espnet_posinv.probe.probe.probe` into a PNG file, atomically."""
    figure, axes = pyplot().subplots(2, 3, figsize=(14, 8), layout="constrained")
    figure.suptitle(result["label"], fontsize=14)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e4e4e4", lw=0.8)
        axis.set_axisbelow(True)
    rows = result["states"]
    encoder = {name: row for name, row in rows.items() if "shift" in row}  # without the log-mel spectrogram
    _read_out(axes[0, 0], rows)
    _ratio(axes[0, 1], rows)
    _profile(axes[0, 2], encoder, result["frames_per_second"])
    _shifts(axes[1, 0], encoder, result["settings"]["hops"])
    _rules(axes[1, 1], encoder)
    _descents(axes[1, 2], result["exploit"])
    for axis in axes.flat:
        axis.title.set_fontsize(11)
    save_figure(figure, path)


def _layers(axis, names):
    labels = [name.replace("-", "-\n") for name in names]
    axis.set_xticks(range(len(labels)), labels, fontsize=9 if len(labels) < 16 else 7)
    axis.set_xlabel("hidden state")


def _with_range(axis, values, **style):
    """Mean as a line, lowest to highest as bars."""
    mean, low, high = np.array(values).T
    axis.errorbar(range(len(mean)), mean, [mean - low, high - mean], marker="o", ms=4, capsize=2, **style)


def _read_out(axis, rows):
    _with_range(axis, [r["r2"] for r in rows.values()], color=BLUE, label="frames in order")
    _with_range(axis, [r["shuffled"] for r in rows.values()], color=GREY, ls="--", label="frames shuffled")
    low = min(0, *(r[key][1] for r in rows.values() for key in ("shuffled", "r2")))
    axis.set_ylim(low - 0.05, 1.05)
    axis.set_title("Can the position be read from one frame?")
    axis.set_ylabel("R² of a linear read-out, held out")
    axis.legend(frameon=False)
    _layers(axis, rows)


def _ratio(axis, rows):
    found = [[r["index"][key] for key in ("ratio", "low", "high")] for r in rows.values()]
    _with_range(axis, found, color=BLUE)
    axis.axhline(1, color=GREY, lw=1)
    axis.set_ylim(0, max(1.1, 1.05 * max(high for _, _, high in found)))
    axis.set_title("How much of the distance is position?")
    axis.set_ylabel("distance at the same / at other positions (95 %)")
    _layers(axis, rows)


def _profile(axis, rows, frames_per_second):
    colours = pyplot().get_cmap("viridis")(np.linspace(0, 0.9, len(rows)))
    for (name, row), colour in zip(rows.items(), colours, strict=True):
        lags = np.array(row["index"]["lags"])
        lags = lags[: int(0.9 * len(lags))] / row["index"]["other"]  # the farthest lags have few pairs
        axis.plot(np.arange(len(lags)) / frames_per_second, lags, color=colour, label=name, lw=1.4)
    axis.axhline(1, color=GREY, lw=1)
    axis.set_ylim(0)
    axis.set_title("Frames of different utterances, by difference of position")
    axis.set_xlabel("difference of position, s")
    axis.set_ylabel("distance / mean at other positions")
    columns = 2 if len(rows) < 9 else 3
    axis.legend(frameon=False, ncols=columns, fontsize=8, title="hidden state", loc="lower right")


def _shifts(axis, rows, hops):
    colours = pyplot().get_cmap("plasma")(np.linspace(0, 0.8, len(hops)))
    for k, (hop, colour) in enumerate(zip(hops, colours, strict=True)):
        for side, style in (("front", "o-"), ("behind", "x:")):
            values = np.array([row["shift"][side][k] for row in rows.values()])
            values[values <= 1e-6] = np.nan  # rounding
            label = f"{hop} frame{'s' * (hop > 1)} later" if side == "front" else None
            axis.plot(values, style, color=colour, ms=4, lw=1.4, label=label)
    axis.plot([], [], "x:", color=GREY, ms=4, label="silence after the speech (control)")
    axis.set_yscale("log")
    axis.set_title("The same speech, later")
    axis.set_ylabel("change / distance to another utterance")
    axis.legend(frameon=False, fontsize=8)
    _layers(axis, rows)


def _rules(axis, rows):
    clusters = [row["clusters"] for row in rows.values()]
    noise = [row["noise"]["spearman"] for row in rows.values()]
    _with_range(axis, clusters, color=GREEN, label="same sounds cluster (Rand index)")
    axis.plot(noise, "s-", ms=4, color=ORANGE, label="distance grows with noise (rank correlation)")
    axis.set_ylim(min(0, *(low for _, low, _ in clusters)), 1.05)
    axis.set_title("Which layer to compare? (rules of FINALLY)")
    axis.legend(frameon=False, fontsize=8)
    _layers(axis, rows)


def _descents(axis, rows):
    if not rows:
        axis.set_axis_off()
        return
    shifts = next(iter(rows.values()))["shifts"]
    groups = [
        "fall of\nthe loss",
        *(f"of it left\n{k} frames\nlater" for k in shifts),
        "log-mel\ndistance\nremoved",
    ]
    width = 0.8 / len(rows)
    for i, (name, row) in enumerate(rows.items()):
        shares = [s if s[0] is not None else [0, 0, 0] for s in (row["fall"], *row["kept"], row["spectrum"])]
        mean, low, high = 100 * np.array(shares, dtype=float).T
        where = np.arange(len(groups)) + (i - (len(rows) - 1) / 2) * width
        bars = {"color": COLOURS[name], "label": name, "error_kw": {"elinewidth": 1, "ecolor": "#444444"}}
        axis.bar(where, mean, 0.9 * width, yerr=[mean - low, high - mean], **bars)
    axis.axhline(0, color="#444444", lw=0.8)
    axis.set_xticks(range(len(groups)), groups, fontsize=8)
    axis.set_title("Can noise lower the loss?")
    axis.set_ylabel("% (95 % interval)")
    axis.set_ylim(top=1.2 * max(100, axis.get_ylim()[1]))
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
