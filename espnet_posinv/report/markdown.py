"""RESULTS.md of a recipe, and Markdown of any section of a report."""

import shutil
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.report import tables
from espnet_posinv.report.document import Listing, Panels, Picture, Section, Strong, Table, write_section
from espnet_posinv.report.experiment import Experiment
from espnet_posinv.report.figures import save_panels, save_wer
from espnet_posinv.report.word_tables import word_errors


def write_report(experiment: Experiment, output: str | Path, *, title: str = "Results") -> None:
    """Write `output`, and its pictures into the folder ``images`` beside it."""
    images = Path(output).parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    save_wer(experiment, images / "wer.png")
    words: list = [
        "Error rates in per cent with the 95 % interval of a bootstrap over utterances, and in brackets "
        "substitutions / deletions / insertions. Several seeds of a system are averaged for each utterance. "
        "Differences are paired, and bold if their interval excludes zero.",
        Picture(str(images / "wer.png"), "Error rates by test set and system"),
    ]
    if experiment.places.clean_set:
        words.append(
            f"In {experiment.places.clean_set} the noisy row is the clean speech itself, unprocessed."
        )
    for name in experiment.words:
        found = word_errors(experiment, name)
        blocks = [found.note, found.rates, *found.differences, *found.conditions]
        words.append(Section(f"{name}, {found.measure}", blocks))
    parts = [
        tables.environment_section(),
        tables.data_section(experiment),
        Section("Error rates", words),
        tables.lps_section(experiment),
        tables.signal_section(experiment),
        tables.task_section(experiment),
        tables.training_section(experiment),
        *experiment.studies,
    ]
    write_markdown(Section(title, [part for part in parts if part]), output, images)


def write_study(section: Section, folder: Path, name: str) -> None:
    """Write a study's section as ``<name>.md``, and as ``section.json`` for the report of the experiment."""
    write_markdown(section, folder / f"{name}.md", folder)
    write_section(section, folder)


def write_markdown(section: Section, output: str | Path, images: Path) -> None:
    """Write a section as a file of its own; pictures from other folders are copied to `images`."""
    with atomic_write(output) as file:
        file.write("\n\n".join(_section(section, 1, images, Path(output).parent)) + "\n")


def _section(section: Section, level: int, images: Path, folder: Path) -> list[str]:
    parts = [f"{'#' * level} {section.title}"]
    for block in section.blocks:
        match block:
            case Section():
                parts += _section(block, level + 1, images, folder)
            case Table():
                parts += [f"{block.caption}:"] * bool(block.caption) + [markdown(block)]
            case Listing():
                heading = f"<details><summary>{block.title}</summary>"
                parts.append(f"{heading}\n\n```yaml\n{block.text}```\n\n</details>")
            case Picture():
                path = Path(block.path)
                if path.parent != images:
                    path = shutil.copyfile(path, images / f"{path.parent.name}_{path.name}")
                parts.append(f"![{block.alt}]({path.relative_to(folder)})")
            case Panels():
                path = images / f"{block.name}.png"
                save_panels(block, path)
                parts.append(f"![{block.alt}]({path.relative_to(folder)})")
            case _:
                parts.append(block)
    return parts


def markdown(table: Table) -> str:
    """A table; the first column is aligned left, the others right."""
    lines = [table.head, ["---"] + ["---:"] * (len(table.head) - 1)]
    lines += [[f"**{c.text}**" if isinstance(c, Strong) else c for c in row] for row in table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
