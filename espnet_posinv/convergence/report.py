"""Convergence as a section of a report: explanations, curves and a table."""

from pathlib import Path

from espnet_posinv.convergence.measure import Measured
from espnet_posinv.convergence.summary import LABELS, NEVER, Curve, Interval, Summary, curves, summarise
from espnet_posinv.report.document import Line, Panel, Panels, Section, Table, interval
from espnet_posinv.report.markdown import write_study
from espnet_posinv.report.systems import System

STYLES = ("o-", "o--", "o:", "o-.")
FORMS = {"wer": ".1f", "si_sdr": ".2f", "estoi": ".3f"}


def write_convergence(
    output_dir: str | Path,
    measured: Measured,
    systems: dict[str, System],
    *,
    fraction: float = 0.9,
    setting: str,
    title: str = "Convergence",
) -> None:
    """Write ``convergence.png``, ``convergence.md`` and ``section.json``, which a report shows.

    Args:
        fraction: of the gain that counts as converged.
        setting: development set, recogniser and encoder, in words.
    """
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    seeds, table = curves(measured, systems)
    rows = summarise(table, systems, fraction)
    alt = "Each measure against updates and against minutes of training"
    panels = [
        Panel("", xlabel, LABELS.get(measure, measure), _lines(by_system, systems, against))
        for measure, by_system in table.items()
        for against, xlabel in (("updates", "updates"), ("seconds", "minutes spent in updates"))
    ]
    blocks = [setting, *explanation(fraction, seeds), Panels("convergence", alt, panels, 2)]
    section = Section(title, [*blocks, Table(head(fraction), [cells(row) for row in rows])])
    write_study(section, output_dir, "convergence")


def _lines(by_system: dict[str, Curve], systems: dict[str, System], against: str) -> list[Line]:
    """Mean over seeds, and a band from the lowest to the highest seed."""
    lines: list[Line] = []
    for name, curve in by_system.items():
        colour = systems[name].colour
        style = STYLES[[line.colour for line in lines].count(colour) % len(STYLES)]
        # Seeds may differ in time: the mean curve is drawn over the mean time.
        x = curve.updates if against == "updates" else curve.seconds.mean(0) / 60
        values = curve.by_seed()
        band = [values.min(0).tolist(), values.max(0).tolist()] if len(values) > 1 else []
        lines.append(Line(name, colour, style, x.tolist(), values.mean(0).tolist(), *band))
    return lines


def explanation(fraction: float, seeds: list[str]) -> list[str]:
    """Explanations of the table's terms."""
    return [
        "Gain: improvement of the last checkpoint over the initial model. A share of a gain is reached at "
        "the first update from which all later checkpoints are at this level or better, with linear "
        "interpolation between checkpoints; in brackets the first time at this level, if earlier. Seconds "
        "are those spent in updates, without validation; they are comparable only between trainings that "
        "ran alone on the same machine. A system with a small gain reaches a share of its own gain soon; "
        "the baseline's gain is one level for all systems. Earlier than the baseline: share of resamples. "
        "No clear gain: the interval of the gain is not above zero. Never: not within this training.",
        "Intervals of 95 % over resampled utterances and seeds, paired between systems. "
        + (
            f"Seeds: {', '.join(seeds)}; curves are means, bands range from the lowest to the highest seed."
            if len(seeds) > 1
            else "One seed: the intervals do not include the variation between seeds."
        ),
    ]


def head(fraction: float) -> list[str]:
    """The head of the table."""
    own, common = (f"{100 * fraction:g} % of {whose} gain" for whose in ("its own", "the baseline's"))
    return [
        *("measure", "system", "at start", "at end", "gain", "best (at update)"),
        *(f"updates to {own}", f"seconds to {own}", "baseline"),
        *(f"updates to {common}", f"seconds to {common}", "earlier than the baseline"),
    ]


def cells(row: Summary) -> list[str]:
    """A row of the table."""
    own, common = (
        [_time(times[axis]) for axis in ("updates", "seconds")] if times else ["no clear gain"] * 2
        for times in (row.own, row.common)
    )
    if row.own and row.touched < row.own["updates"][0]:
        own[0] += f" (first {row.touched:.0f})"
    form = FORMS.get(row.measure, ".4g")
    return [
        LABELS.get(row.measure, row.measure),
        row.system,
        f"{row.start:{form}}",
        f"{row.end:{form}}",
        interval(row.gain, form),
        f"{row.best[0]:{form}} ({row.best[1]:.0f})",
        *own,
        row.baseline,
        *common,
        "-" if row.earlier is None else f"{100 * row.earlier:.0f} %",
    ]


def _time(times: Interval) -> str:
    value, low, high = ("never" if t == NEVER else f"{t:.0f}" for t in times)
    return f"{value} [{low}, {high}]"
