"""report.html of an experiment folder: one file to look at and listen to, with nothing beside it.

Its tables are those of RESULTS.md, made by the same functions. Word errors, sound and curves are drawn for
the page, and follow its width and whether it is light or dark.
"""

import json
import re
from datetime import datetime
from functools import partial
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown import Markdown
from markupsafe import Markup

from espnet_posinv.analysis import report as tables
from espnet_posinv.analysis.convergence_report import AXES, draw_panel
from espnet_posinv.analysis.convergence_summary import LABELS
from espnet_posinv.analysis.environment import environment, git_state
from espnet_posinv.analysis.html_figures import alignment, draw_alignment, image_uri, themed_svg
from espnet_posinv.analysis.html_listen import Utterance, choose, load_utterance
from espnet_posinv.analysis.pages import find_pages
from espnet_posinv.analysis.plots import COLOURS
from espnet_posinv.analysis.report import Places, Table
from espnet_posinv.analysis.results import criterion_of, family, order
from espnet_posinv.analysis.training import Training
from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError

ALIGNMENT_SPEED = 0.9


def write_html_report(
    places: Places,
    output: str | Path,
    *,
    title: str = "Results",
    utterances: int = 3,
    add: list[str | Path] = (),
) -> None:
    """Write the page.

    Args:
        places: of scores, data and experiments; `data` and `experiments` also hold the audio.
        output: the HTML file.
        title: its heading.
        utterances: to listen to, from each test set with noise; 0: none, and no alignments.
        add: further Markdown files, whose pictures lie where they say; each becomes a section.

    Raises:
        DataError: there are no scores, they do not fit together, or audio of an utterance is missing.
    """
    scores, trainings = tables.load(places)
    first = next(iter(scores.values()))
    rule, examples = _examples(places, scores, utterances)
    pages = find_pages(places.experiments)
    drawn = [path.with_suffix(".json") for path in pages if path.name == "convergence.md"]
    pages = [path for path in pages if path.name != "convergence.md"] + [Path(path) for path in add]
    page = Environment(
        loader=PackageLoader("espnet_posinv.analysis", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.j2")
    html = page.render(
        title=title,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        version=git_state(Path(__file__).parent),
        test_sets=places.test_sets,
        clean_set=places.clean_set,
        families=_legend(order({system for table in scores.values() for system in table})),
        recognisers=[_recogniser(name, table, trainings, places) for name, table in scores.items()],
        rule=rule,
        examples=examples,
        alignments=_alignments(places, trainings, examples),
        convergences=[_convergence(path, f"conv{k}") for k, path in enumerate(drawn)],
        curves=_curves(trainings),
        trainings=to_html([tables.training_table(trainings)]) if trainings else "",
        signal=to_html(tables.signal_tables(places)[1:]),
        data=to_html(tables.data_tables(first, places)[1:]),
        pages=[
            (heading(path), to_html([path.read_text(encoding="utf-8")], path.parent, 1)) for path in pages
        ],
        environment=environment(),
        configurations=[_configuration(group) for group in tables.by_family(trainings)],
    )
    with atomic_write(output) as file:
        file.write(html)


def to_html(parts: list[str], folder: Path | None = None, skip_headings: int = 0) -> Markup:
    """Markdown as HTML: tables that scroll and have headers and captions, pictures within the page.

    Args:
        parts: paragraphs and tables.
        folder: where pictures lie.
        skip_headings: leave out the first such many lines that are headings; others are brought below ours.
    """
    html = Markdown(extensions=["tables", "fenced_code"], tab_length=2).convert("\n\n".join(parts))
    html = (
        re.sub(r"<h\d[^>]*>.*?</h\d>\n?", "", html, count=skip_headings, flags=re.DOTALL)
        if skip_headings
        else html
    )
    html = re.sub(r"<(/?)h[1-6]", r"<\1h3", html)
    # A line that ends in a colon is the caption of the table behind it.
    html = re.sub(
        r"<p>([^<]*|[^<]*<code>[^<]*</code>[^<]*):</p>\s*<table>", r"<table><caption>\1</caption>", html
    )
    html = re.sub(r"<th(?= |>)", '<th scope="col"', html)
    html = re.sub(r"<tr>\s*<td[^>]*>(.*?)</td>", r'<tr><th scope="row">\1</th>', html)
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    return Markup(re.sub(r'<img alt="([^"]*)" src="([^"]*)"[^>]*>', lambda m: _picture(m, folder), html))


def _picture(match: re.Match, folder: Path | None) -> str:
    path = (folder or Path()) / match[2]
    if not path.is_file():
        raise DataError(f"{path}: no such picture")
    return f'<img class="paper" alt="{match[1]}" src="{image_uri(path.read_bytes(), path.suffix)}">'


def heading(path: Path) -> str:
    """First heading of a Markdown file, else its name."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            return line.lstrip("#").strip().replace("`", "")
    return path.stem


def _colour(system: str) -> str:
    return "noisy" if system == "noisy" else criterion_of(system) or "pretrained"


def _legend(systems: list[str]) -> list[tuple[str, str]]:
    return [(system, _colour(system)) for system in systems]


def _recogniser(name: str, table: Table, trainings: list[Training], places: Places) -> dict:
    """Cells with bars, and the tables of RESULTS.md behind them."""
    parts = tables.recogniser_tables(name, table, trainings, places)
    note, rest = parts[1], parts[3:]
    behind = next((k for k, part in enumerate(rest) if re.fullmatch(r"\S+ by (noise|SNR):", part)), len(rest))
    rows = []
    for system, row in table.items():
        cells = {test_set: (cell.wer(), cell.counts) for test_set, cell in row.items()}
        seeds = next(iter(row.values())).seeds
        rows.append({"system": system, "colour": _colour(system), "seeds": seeds, "cells": cells})
    highest = max(cell[0][2] for row in rows for cell in row["cells"].values())
    return {
        "name": name,
        "took_part": note.startswith("**Took part"),
        "held_out": note.startswith("Held out"),
        "note": to_html([note]),
        "rows": rows,
        "scale": max(highest, 1e-9),
        "differences": to_html(rest[:behind]),
        "conditions": to_html(rest[behind:]),
    }


def _examples(places: Places, scores: dict[str, Table], count: int) -> tuple[str, list[Utterance]]:
    name, table = next(iter(scores.items()))
    examples, rule = [], ""
    for test_set in places.test_sets:
        if test_set != places.clean_set and count:
            rule, chosen = choose(table, test_set, places.pretrained, count)
            examples += [
                load_utterance(places, list(scores), test_set, utterance, why) for utterance, why in chosen
            ]
    return f"{rule}, by {name}", examples


def _alignments(places: Places, trainings: list[Training], examples: list[Utterance]) -> dict | None:
    """Of the first example, each version of it against the slower clean speech."""
    for training in trainings:
        confs = [
            item["conf"] for item in training.config.get("criterions") or [] if item["name"] == "ssl_softdtw"
        ]
        if confs and examples:
            break
    else:
        return None
    from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss

    example = examples[0]
    try:
        criterion = SSLSoftDTWLoss(**confs[0])
        panels = []
        for k, (name, signal) in enumerate(example.signals.items()):
            path, loss, near = alignment(criterion, example.signals["clean"], signal, ALIGNMENT_SPEED)
            label = f"Alignment of {name} with clean speech at speed {ALIGNMENT_SPEED:g}"
            draw = partial(draw_alignment, path=path, speed=ALIGNMENT_SPEED)
            panels.append((name, Markup(themed_svg(f"align{k}", label, draw, (3.0, 2.8))), loss, near))
    except (ValueError, OSError) as error:  # the encoder may have been moved away: no reason to have no page
        return {"error": str(error)}
    return {
        "error": "",
        "example": example,
        "speed": ALIGNMENT_SPEED,
        "gamma": criterion.softdtw_options["gamma"],
        "upstream": Path(criterion.upstream).name,
        "panels": panels,
    }


def _convergence(path: Path, name: str) -> dict:
    """Curves of a convergence.json, drawn for the page, and its table."""
    data = json.loads(path.read_text(encoding="utf-8"))
    panels = []
    for measure, systems in data["curves"].items():
        for against, words in AXES.items():
            label = f"{LABELS.get(measure, measure)} against {words}"
            draw = partial(draw_panel, measure=measure, systems=systems, against=against)
            panels.append(Markup(themed_svg(f"{name}-{measure}-{against}", label, draw)))
    systems = list(next(iter(data["curves"].values())))
    table = to_html([tables.markdown(data["head"], data["rows"])])
    return {
        "name": name,
        "title": data["title"],
        "text": data["text"],
        "panels": panels,
        "legend": _legend(systems),
        "table": table,
    }


def _curves(trainings: list[Training]) -> list[Markup]:
    """Loss of training (dashed) and validation, a panel for each system, a line for each seed."""
    panels = []
    for group in tables.by_family(trainings):
        name = family(group[0].name)

        def draw(axis, group=group, name=name):
            colour = COLOURS[criterion_of(name)]
            for training in group:
                axis.plot(*training.train[::2], "--", color=colour, alpha=0.6, lw=1.2)
                axis.plot(*training.valid[::2], "o-", color=colour, ms=3, lw=1.6)
            axis.set_title(name, fontsize=10)
            axis.set_xlabel("updates")
            axis.set_ylabel("loss")
            axis.grid(color="#dddddd")
            axis.spines[["top", "right"]].set_visible(False)

        panels.append(
            Markup(themed_svg(f"train-{len(panels)}", f"Training and validation loss of {name}", draw))
        )
    return panels


def _configuration(group: list[Training]) -> tuple[str, str]:
    text = tables.configuration(group)
    return family(group[0].name), text.split("```yaml\n")[1].split("```")[0]
