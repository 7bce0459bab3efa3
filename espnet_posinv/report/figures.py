"""The two figures of RESULTS.md, drawn for a page of either brightness: white ground, dark text."""

import os
from pathlib import Path

from espnet_posinv.report.results import criterion_of, family, order

COLOURS = {  # Okabe and Ito: distinguishable with any colour vision
    "noisy": "#999999",
    None: "#CC79A7",
    "ssl_mse": "#0072B2",
    "ssl_mse_pad": "#56B4E9",
    "ssl_softdtw": "#D55E00",
}
HATCHES = ("", "//", "..", "xx")


def plot_wer(tables: dict, places, path: Path) -> None:
    """Bars of WER by condition and system with 95 % intervals, one panel a recogniser.

    Args:
        tables: ``{recogniser: {system: {test set: Cell}}}``.
        places: for the order of test sets and which is clean.
        path: PNG file to write, atomically.
    """
    plt = pyplot()
    systems = order({system for table in tables.values() for system in table})
    styles = _styles(systems)
    figure, axes = plt.subplots(
        1, len(tables), figsize=(1 + 5.5 * len(tables), 4.6), sharey=True, squeeze=False, layout="constrained"
    )
    width = 0.84 / len(systems)
    for axis, (name, table) in zip(axes[0], tables.items(), strict=True):
        for k, system in enumerate(systems):
            row = table.get(system, {})
            sets = [test_set for test_set in places.test_sets if test_set in row]
            if not sets:
                continue
            values = [row[test_set].wer() for test_set in sets]
            where = [places.test_sets.index(t) + (k - (len(systems) - 1) / 2) * width for t in sets]
            errors = [[v[0] - v[1] for v in values], [v[2] - v[0] for v in values]]
            axis.bar(
                where,
                [v[0] for v in values],
                width * 0.92,
                yerr=errors,
                error_kw={"elinewidth": 1, "ecolor": "#444444", "capsize": 2},
                label=system,
                **styles[system],
            )
        labels = [t + ("\n(noisy: clean speech)" if t == places.clean_set else "") for t in places.test_sets]
        axis.set_xticks(range(len(labels)), labels)
        axis.set_title(name)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#dddddd")
        axis.set_axisbelow(True)
    axes[0][0].set_ylabel("WER, % (95 % interval)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    entry = 0.6 + 0.09 * max(map(len, labels))  # inches that the longest one takes
    columns = max(1, int(figure.get_figwidth() / entry))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    save_figure(figure, path)


def plot_training(trainings: list, path: Path) -> None:
    """Loss against updates, one panel a system, one line a seed; dashed training, solid validation.

    Criterions have different units, so each panel has its own axis.
    """
    plt = pyplot()
    families = order({family(training.name) for training in trainings})
    columns = min(3, len(families))
    rows = -(-len(families) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.2 * rows + 0.4), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, families, strict=False):
        colour = COLOURS[criterion_of(name)]
        for training in (t for t in trainings if family(t.name) == name):
            axis.plot(*training.train[::2], "--", color=colour, alpha=0.5, lw=1.2)
            axis.plot(*training.valid[::2], "o-", color=colour, ms=3, lw=1.5)
        axis.set_title(name)
        axis.set_xlabel("updates")
        axis.grid(color="#dddddd")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(families) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel("loss")
    lines = [plt.Line2D([], [], color="#444444", ls=ls, marker=m, ms=3) for ls, m in (("--", ""), ("-", "o"))]
    figure.legend(lines, ["training", "validation"], loc="outside lower center", ncols=2, frameon=False)
    save_figure(figure, path)


def _styles(systems: list[str]) -> dict[str, dict]:
    """Colour by criterion; systems that share one differ by hatching."""
    seen: dict[str, int] = {}
    styles = {}
    for system in systems:
        colour = COLOURS["noisy"] if system == "noisy" else COLOURS[criterion_of(system)]
        hatch = HATCHES[seen.get(colour, 0) % len(HATCHES)]
        seen[colour] = seen.get(colour, 0) + 1
        styles[system] = {"facecolor": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}
    return styles


def pyplot():
    """matplotlib.pyplot, drawing without a display, which a batch job has not."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save_figure(figure, path: Path) -> None:
    """Write a figure to a PNG file, atomically, and close it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(temporary, dpi=130, format="png", facecolor="white")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        pyplot().close(figure)
