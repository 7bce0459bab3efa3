"""Drawing: colours, error rates as bars, panels of curves. White ground, dark text."""

from pathlib import Path

import numpy as np

from espnet_posinv.files import replacing
from espnet_posinv.report.document import Panel, Panels
from espnet_posinv.report.experiment import Experiment

COLOURS = {  # Okabe and Ito: distinguishable with any colour vision
    "noisy": "#999999",
    "pretrained": "#CC79A7",
    "ssl_mse": "#0072B2",
    "ssl_mse_pad": "#56B4E9",
    "ssl_softdtw": "#D55E00",
    "ssl_sinkhorn": "#009E73",
}
HATCHES = ("", "//", "..", "xx")


def save_wer(experiment: Experiment, path: Path) -> None:
    """Bars of error rates by test set and system with 95 % intervals, one plot for each recogniser."""
    places, words = experiment.places, experiment.words
    systems = [s for s in experiment.systems.values() if any(s.name in grid for grid in words.values())]
    styles, seen = {}, []
    for system in systems:  # systems of one colour differ by hatching
        hatch = HATCHES[seen.count(system.colour) % len(HATCHES)]
        styles[system.name] = {"facecolor": COLOURS[system.colour], "hatch": hatch, "edgecolor": "white"}
        seen.append(system.colour)
    width = 0.84 / len(systems)
    size = (1 + 5.5 * len(words), 4.6)
    figure, axes = pyplot().subplots(
        1, len(words), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, grid) in zip(axes[0], words.items(), strict=True):
        for k, system in enumerate(styles):
            where, rates = [], []
            for column, test_set in enumerate(places.test_sets):
                if test_set in grid.get(system, {}):
                    where.append(column + (k - (len(systems) - 1) / 2) * width)
                    rates.append(grid[system][test_set].wer())
            if rates:
                rate, low, high = np.array(rates).T
                bars = {"error_kw": {"elinewidth": 1, "ecolor": "#444444", "capsize": 2}, "linewidth": 0}
                axis.bar(
                    where,
                    rate,
                    0.92 * width,
                    yerr=[rate - low, high - rate],
                    label=system,
                    **bars,
                    **styles[system],
                )
        labels = [t + ("\n(noisy: clean speech)" if t == places.clean_set else "") for t in places.test_sets]
        axis.set_xticks(range(len(labels)), labels)
        axis.set_title(name)
        _plain(axis, "y")
    axes[0][0].set_ylabel("error rate, % (95 % interval)")
    _legend_below(figure, *axes[0][0].get_legend_handles_labels())
    save_figure(figure, path)


def draw_panel(axis, panel: Panel, own_legend: bool = False) -> None:
    """The curves of a panel; `low` to `high` is drawn as a band, or as bars if there are `ticks`."""
    for line in panel.lines:
        colour = COLOURS.get(line.colour, line.colour)
        style = {"alpha": 0.6, "lw": 1.2} if line.style == "--" else {"ms": 3, "lw": 1.6}
        axis.plot(line.x, line.y, line.style, color=colour, label=line.label, **style)
        if line.low is not None and panel.ticks:
            axis.vlines(line.x, line.low, line.high, color=colour, lw=1.2)
        elif line.low is not None:
            axis.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, lw=0)
    if panel.ticks:
        axis.set_xticks(range(len(panel.ticks)), panel.ticks)
    if panel.ylim:
        axis.set_ylim(*panel.ylim)
    if panel.log:
        axis.set_yscale("log")
    if own_legend and len(panel.lines) > 1:
        axis.legend(frameon=False, fontsize=7, ncols=1 + (len(panel.lines) > 3))
    axis.set_title(panel.title, fontsize=10)
    axis.set_xlabel(panel.xlabel)
    axis.set_ylabel(panel.ylabel)
    _plain(axis)


def save_panels(panels: Panels, path: Path) -> None:
    """All panels as one picture with one legend."""
    columns = min(panels.columns, len(panels.panels))
    rows = -(-len(panels.panels) // columns)
    size = (4.4 * columns, 2.8 * rows + 0.4)
    figure, axes = pyplot().subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, panel in zip(axes.flat, panels.panels, strict=False):
        draw_panel(axis, panel, panels.own_legends)
    for axis in axes.flat[len(panels.panels) :]:
        axis.set_visible(False)
    handles = {}
    for axis in [] if panels.own_legends else axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        _legend_below(figure, list(handles.values()), list(handles))
    save_figure(figure, path)


def legend(panels: Panels) -> dict[str, str]:
    """Colours by label of the common legend, for labels with one colour in all panels."""
    colours: dict[str, set[str]] = {}
    for line in (line for panel in panels.panels for line in panel.lines if not panels.own_legends):
        colours.setdefault(line.label, set()).add(line.colour)
    return {label: found.pop() for label, found in colours.items() if len(found) == 1}


def _plain(axis, grid: str = "both") -> None:
    axis.grid(axis=grid, color="#dddddd")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def _legend_below(figure, handles: list, labels: list[str]) -> None:
    entry = 0.6 + 0.09 * max(map(len, labels))  # inches of the longest one
    columns = max(1, int(figure.get_figwidth() / entry))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)


def pyplot():
    """matplotlib.pyplot, drawing without a display."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save_figure(figure, path: Path) -> None:
    """Write a figure to a PNG file, atomically, and close it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, format="png", facecolor="white")
    pyplot().close(figure)
