"""The figure of a position probe: six panels, from what is read off a frame to what a loss makes of it."""

from pathlib import Path

import numpy as np

from espnet_posinv.report.figures import COLOURS, pyplot, save_figure

GREY, BLUE, ORANGE, GREEN = "#777777", "#0072B2", "#D55E00", "#009E73"


def plot_probe(result: dict, path: Path) -> None:
    """Draw a result of :func:`espnet_posinv.probe.probe.probe` into a PNG file, atomically."""
    plt = pyplot()
    figure, axes = plt.subplots(2, 3, figsize=(14, 8), layout="constrained")
    figure.suptitle(result["label"], fontsize=14)
    rows = result["states"]
    names = [name for name in rows if "shift" in rows[name]]
    _read_out(axes[0, 0], rows)
    _ratio(axes[0, 1], rows)
    _profile(plt, axes[0, 2], rows, names, result)
    _shifts(plt, axes[1, 0], rows, names, result)
    _rules(axes[1, 1], rows, names)
    _exploit(axes[1, 2], result)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e4e4e4", lw=0.8)
        axis.set_axisbelow(True)
        axis.title.set_fontsize(11)
    save_figure(figure, path)


def _layers(axis, names):
    labels = [name.replace("-", "-\n") for name in names]
    axis.set_xticks(range(len(names)), labels, fontsize=9 if len(names) < 16 else 7)
    axis.set_xlabel("hidden state")


def _with_range(axis, values, **style):
    """Mean as a line, lowest to highest as bars."""
    mean, low, high = np.array(values).T
    axis.errorbar(range(len(mean)), mean, [mean - low, high - mean], marker="o", ms=4, capsize=2, **style)


def _read_out(axis, rows):
    _with_range(axis, [r["r2"] for r in rows.values()], color=BLUE, label="frames in order")
    _with_range(axis, [r["shuffled"] for r in rows.values()], color=GREY, ls="--", label="shuffled")
    low = min(0, *(r["shuffled"][1] for r in rows.values()), *(r["r2"][1] for r in rows.values()))
    axis.set_ylim(low - 0.05, 1.05)
    axis.set_title("Can a frame tell its position?")
    axis.set_ylabel("R² of a linear read-out, held out")
    axis.legend(frameon=False)
    _layers(axis, list(rows))


def _ratio(axis, rows):
    found = [(r["index"]["ratio"], r["index"]["low"], r["index"]["high"]) for r in rows.values()]
    _with_range(axis, found, color=BLUE)
    axis.axhline(1, color=GREY, lw=1)
    axis.set_ylim(0, max(1.1, 1.05 * max(high for _, _, high in found)))
    axis.set_title("How much of the distance is position?")
    axis.set_ylabel("distance at same / other index (95 % interval)")
    _layers(axis, list(rows))


def _profile(plt, axis, rows, names, result):
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(names)))
    for name, colour in zip(names, colours, strict=True):
        index = rows[name]["index"]
        lags = np.array(index["lags"])
        lags = lags[: int(0.9 * len(lags))] / index["other"]  # the farthest lags have few pairs
        axis.plot(np.arange(len(lags)) / result["frames_per_second"], lags, color=colour, label=name, lw=1.4)
    axis.axhline(1, color=GREY, lw=1)
    axis.set_ylim(0)
    axis.set_title("Unrelated frames, by how far apart they stand")
    axis.set_xlabel("difference of positions, s")
    axis.set_ylabel("distance / mean at other indices")
    axis.legend(
        frameon=False, ncols=2 if len(names) < 9 else 3, fontsize=8, title="hidden state", loc="lower right"
    )


def _shifts(plt, axis, rows, names, result):
    hops = result["settings"]["hops"]
    colours = plt.get_cmap("plasma")(np.linspace(0, 0.8, len(hops)))
    for k, (hop, colour) in enumerate(zip(hops, colours, strict=True)):
        for side, style in (("front", "o-"), ("behind", "x:")):
            values = [
                v if (v := rows[name]["shift"][side][k]) > 1e-6 else np.nan for name in names
            ]  # rounding
            label = f"{hop} frame{'s' * (hop > 1)}" if side == "front" else None
            axis.plot(values, style, color=colour, ms=4, lw=1.4, label=label)
    axis.plot([], [], "x:", color=GREY, ms=4, label="silence behind (control)")
    axis.set_yscale("log")
    axis.set_title("Same content, moved")
    axis.set_ylabel("change / distance to another utterance")
    axis.legend(frameon=False, fontsize=8)
    _layers(axis, names)


def _rules(axis, rows, names):
    _with_range(
        axis, [rows[n]["clusters"] for n in names], color=GREEN, label="same sounds cluster (Rand index)"
    )
    axis.plot(
        [rows[n]["noise"]["spearman"] for n in names],
        "s-",
        ms=4,
        color=ORANGE,
        label="distance grows with noise (rank)",
    )
    axis.set_ylim(min(0, *(rows[n]["clusters"][1] for n in names)), 1.05)
    axis.set_title("Which layer to compare (rules of FINALLY)")
    axis.legend(frameon=False, fontsize=8)
    _layers(axis, names)


def _exploit(axis, result):
    if not result["exploit"]:
        axis.set_axis_off()
        return
    shifts = next(iter(result["exploit"].values()))["shifts"]
    groups = ["fall of\nthe loss", *(f"left, moved\n{k} frames" for k in shifts), "nearer in\nlog-mel"]
    width = 0.8 / len(result["exploit"])
    for i, (name, row) in enumerate(result["exploit"].items()):
        values = [v if v[0] is not None else [0, 0, 0] for v in (row["fall"], *row["kept"], row["spectrum"])]
        mean, low, high = 100 * np.array(values, dtype=float).T
        where = np.arange(len(groups)) + (i - (len(result["exploit"]) - 1) / 2) * width
        bars = {"color": COLOURS[name], "label": name, "error_kw": {"elinewidth": 1, "ecolor": "#444444"}}
        axis.bar(where, mean, 0.9 * width, yerr=[mean - low, high - mean], **bars)
    axis.axhline(0, color="#444444", lw=0.8)
    axis.set_xticks(range(len(groups)), groups, fontsize=8)
    axis.set_title("Noise that descends the loss")
    axis.set_ylabel("% (95 % interval)")
    axis.set_ylim(top=1.2 * max(100, axis.get_ylim()[1]))
    axis.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
