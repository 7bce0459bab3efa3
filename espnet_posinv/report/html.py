"""report.html of an experiment: one self-contained file with tables, curves and audio.

Its tables are those of RESULTS.md. Bars and curves are drawn for the page: they follow its width and its
light or dark colours.
"""

import mimetypes
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from espnet_posinv.files import atomic_write
from espnet_posinv.report import tables
from espnet_posinv.report.alignment import alignments
from espnet_posinv.report.document import Panel
from espnet_posinv.report.environment import git_state
from espnet_posinv.report.experiment import Experiment
from espnet_posinv.report.figures import draw_panel, legend
from espnet_posinv.report.listen import examples
from espnet_posinv.report.media import data_uri, themed_svg
from espnet_posinv.report.word_tables import word_errors


def write_html_report(
    experiment: Experiment, output: str | Path, *, title: str = "Results", utterances: int = 3
) -> None:
    """Write the page.

    Args:
        utterances: how many to listen to from each test set with noise; 0: none, and no alignments.

    Raises:
        DataError: audio of an utterance is missing.
    """
    rule, chosen = examples(experiment, utterances)
    sections = [
        tables.training_section(experiment),
        *experiment.studies,
        tables.lps_section(experiment),
        tables.signal_section(experiment),
        tables.task_section(experiment),
        tables.data_section(experiment),
        tables.environment_section(),
    ]
    page = Environment(
        loader=PackageLoader("espnet_posinv.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    number = count()
    page.globals |= {
        "kind": lambda block: type(block).__name__,
        "picture": lambda path: data_uri(mimetypes.guess_type(path)[0], Path(path).read_bytes()),
        "svg": lambda panel, own_legend: _svg(panel, own_legend, f"panel{next(number)}"),
        "panel_legend": legend,
    }
    html = page.get_template("page.html.j2").render(
        title=title,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=git_state(Path(__file__).parent),
        experiment=experiment,
        places=experiment.places,
        recognisers=[_recogniser(experiment, name) for name in experiment.words],
        rule=rule,
        examples=chosen,
        alignments=alignments(experiment, chosen[0]) if chosen else None,
        sections=[section for section in sections if section],
    )
    with atomic_write(output) as file:
        file.write(html)


def _svg(panel: Panel, own_legend: bool, name: str) -> Markup:
    label = f"{panel.title or panel.ylabel} against {panel.xlabel}"
    return Markup(themed_svg(name, label, partial(draw_panel, panel=panel, own_legend=own_legend)))


def _recogniser(experiment: Experiment, name: str) -> dict:
    """Tables and bars of one recogniser."""
    grid = experiment.words[name]
    rates = {system: {t: cell.wer() for t, cell in row.items()} for system, row in grid.items()}
    scale = max(rate[2] for row in rates.values() for rate in row.values())
    found = word_errors(experiment, name)
    return {"found": found, "grid": grid, "rates": rates, "scale": max(scale, 1e-9)}
