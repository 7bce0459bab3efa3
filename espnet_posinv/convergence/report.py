"""Convergence as a figure, a Markdown table, and the numbers of both for a page."""

import json
from pathlib import Path

import numpy as np

from espnet_posinv.convergence.summary import LABELS, NEVER, Curve, Interval, Summary
from espnet_posinv.files import atomic_write
from espnet_posinv.report.figures import COLOURS, pyplot, save_figure
from espnet_posinv.report.markdown import markdown
from espnet_posinv.report.results import criterion_of

AXES = {"updates": "updates", "seconds": "minutes in updates"}
DASHES = ("-", "--", ":", "-.")


def write_convergence(
    output_dir: str | Path,
    table: dict[str, dict[str, Curve]],
    rows: list[Summary],
    *,
    fraction: float,
    seeds: list[str],
    setting: str,
    title: str = "Convergence",
) -> None:
    """Write ``convergence.png``, ``convergence.md`` and ``convergence.json``.

    Args:
        output_dir: made if missing.
        table: of :func:`~espnet_posinv.convergence.summary.curves`.
        rows: of :func:`~espnet_posinv.convergence.summary.summarise`.
        fraction: of the gain that `rows` speak of.
        seeds: of every system.
        setting: development set, recogniser and encoder, in words.
        title: heading.
    """
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    data = {
        "title": title,
        "text": [setting, *explanation(rows, fraction, seeds)],
        "curves": {m: {s: _numbers(curve) for s, curve in systems.items()} for m, systems in table.items()},
        "head": head(fraction),
        "rows": [cells(row) for row in rows],
    }
    plot_convergence(data["curves"], output_dir / "convergence.png")
    with atomic_write(output_dir / "convergence.json") as file:
        json.dump(data, file, indent=1)
    parts = [
        f"## {title}",
        *data["text"],
        "![Convergence](convergence.png)",
        markdown(data["head"], data["rows"]),
    ]
    with atomic_write(output_dir / "convergence.md") as file:
        file.write("\n\n".join(parts) + "\n")


def _numbers(curve: Curve) -> dict:
    return {
        "updates": curve.updates.tolist(),
        "seconds": curve.seconds.tolist(),
        "values": curve.by_seed().tolist(),
    }


def explanation(rows: list[Summary], fraction: float, seeds: list[str]) -> list[str]:
    """What the table's words mean."""
    baselines = ", ".join(dict.fromkeys(row.baseline for row in rows))
    return [
        "Gain: what the last checkpoint is better than the initial model, with its 95 % interval. "
        f"Times: until {100 * fraction:g} % of the gain is reached for good, that is, every later "
        "checkpoint is at that level or better, on straight lines between checkpoints; in brackets the first "
        "touch, where that was earlier. Seconds are those spent in updates, without validation; they compare "
        "only trainings that had the same machine to themselves. "
        '"Own" is the level of the system\'s own gain: who gains little is there soon. The other level is '
        f"the same for all, that of {baselines}; the last column: in how many resamples a system is there "
        'first. "No clear gain": the interval of the gain is not above zero. "Never": not within this '
        "training.",
        "Intervals: 2.5th to 97.5th percentile over resampled utterances and seeds, paired between systems. "
        + (f"Seeds: {', '.join(seeds)}." if len(seeds) > 1 else "One seed: nothing is said of others."),
    ]


def head(fraction: float) -> list[str]:
    share = f"{100 * fraction:g} %"
    return [
        "measure", "system", "at start", "at end", "gain", "best (at update)",
        f"updates to own {share}", f"seconds to own {share}",
        f"updates to common {share}", f"seconds to common {share}", "before the baseline",
    ]  # fmt: skip


def cells(row: Summary) -> list[str]:
    own = common = ["no clear gain"] * 2
    if row.own:
        own = [_time(row.own["updates"]), _time(row.own["seconds"])]
        if row.touched < row.own["updates"][0]:
            own[0] += f" (first {row.touched:.0f})"
    if row.common:
        common = [_time(row.common["updates"]), _time(row.common["seconds"])]
    else:
        common = [f"no clear gain of {row.baseline}"] * 2
    value = _number(row.measure)
    return [
        LABELS.get(row.measure, row.measure),
        row.system,
        value(row.start),
        value(row.end),
        f"{value(row.gain[0])} [{value(row.gain[1])}, {value(row.gain[2])}]",
        f"{value(row.best[0])} ({row.best[1]:.0f})",
        *own,
        *common,
        "-" if row.earlier is None else f"{100 * row.earlier:.0f} %",
    ]


def _number(measure: str):
    form = {"wer": ".1f", "si_sdr": ".2f", "estoi": ".3f"}.get(measure, ".4g")
    return lambda value: format(value, form)


def _time(times: Interval) -> str:
    value, low, high = ("never" if t == NEVER else f"{t:.0f}" for t in times)
    return f"{value} [{low}, {high}]"


def plot_convergence(curves: dict, path: Path) -> None:
    """One figure: a row for each measure, against updates and against time.

    Args:
        curves: ``{measure: {system: {"updates", "seconds", "values"}}}`` as in convergence.json.
        path: PNG file to write, atomically.
    """
    plt = pyplot()
    figure, axes = plt.subplots(
        len(curves), 2, figsize=(9, 2.3 * len(curves) + 0.5), squeeze=False, layout="constrained"
    )
    for row, (measure, systems) in zip(axes, curves.items(), strict=True):
        for axis, against in zip(row, AXES, strict=True):
            draw_panel(axis, measure, systems, against)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
    save_figure(figure, path)


def draw_panel(axis, measure: str, systems: dict, against: str) -> None:
    """Mean over seeds, and a band from the lowest to the highest seed."""
    seen: dict[str, int] = {}
    for name, curve in systems.items():
        colour = COLOURS[criterion_of(name)]
        dashes = DASHES[seen.setdefault(colour, 0) % len(DASHES)]
        seen[colour] += 1
        values = np.array(curve["values"])
        # Seeds need not take equally long: the mean curve stands over the mean time.
        x = np.array(curve["updates"]) if against == "updates" else np.mean(curve["seconds"], axis=0) / 60
        axis.plot(x, values.mean(0), dashes, color=colour, marker="o", ms=3, lw=1.6, label=name)
        if len(values) > 1:
            axis.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
    axis.set_xlabel(AXES[against])
    axis.set_ylabel(LABELS.get(measure, measure))
    axis.grid(color="#dddddd")
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
