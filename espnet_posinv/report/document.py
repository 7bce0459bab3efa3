"""A report as data: sections of paragraphs, tables, pictures and curves, for Markdown and HTML.

A study (probe, convergence, ablation) writes its section into its folder, where the report of an experiment
reads it.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.files import write_json
from espnet_posinv.kaldi.scp import DataError

FILE = "section.json"


@dataclass
class Strong:
    """A highlighted cell."""

    text: str


@dataclass
class Table:
    """A table; the first cell of a row is its label."""

    head: list[str]
    rows: list[list]  # of str and Strong
    caption: str = ""


@dataclass
class Picture:
    """An image file."""

    path: str
    alt: str


@dataclass
class Line:
    """A curve; `colour` is a criterion's name, "noisy", "pretrained" or "#rrggbb", `style` matplotlib's."""

    label: str
    colour: str
    style: str
    x: list[float]
    y: list[float]
    low: list[float] | None = None  # of a band around it
    high: list[float] | None = None


@dataclass
class Panel:
    """Curves over one pair of axes; `ticks` names the positions on the x axis."""

    title: str
    xlabel: str
    ylabel: str
    lines: list[Line]
    ticks: list[str] | None = None
    ylim: list[float | None] | None = None
    log: bool = False


@dataclass
class Panels:
    """Panels side by side, with one legend or one each; `name` is their picture's in a Markdown file."""

    name: str
    alt: str
    panels: list[Panel]
    columns: int
    own_legends: bool = False


@dataclass
class Listing:
    """YAML text that a click on its title shows."""

    title: str
    text: str


@dataclass
class Section:
    """A heading and its contents: str (paragraphs), the classes above, and further sections."""

    title: str
    blocks: list


KINDS = {kind.__name__: kind for kind in (Strong, Table, Picture, Line, Panel, Panels, Listing, Section)}


def write_section(section: Section, folder: Path) -> None:
    """Write ``section.json`` into `folder`; paths of pictures become relative to it."""

    def content(part) -> dict:
        moved = {"path": os.path.relpath(part.path, folder)} if isinstance(part, Picture) else {}
        return {"kind": type(part).__name__, **vars(part), **moved}

    write_json(folder / FILE, section, default=content)


def read_sections(experiments: Path) -> list[Section]:
    """The sections of all studies in an experiment folder.

    Raises:
        DataError: an invalid file, or a missing picture.
    """
    order = ("convergence", "convergence/*", "probe/*", "ablation")
    paths = [path for pattern in order for path in sorted(experiments.glob(f"{pattern}/{FILE}"))]
    return [_read(path) for path in paths]


def _read(path: Path) -> Section:
    def part(content: dict):
        found = KINDS[content.pop("kind")](**content)
        if isinstance(found, Picture):
            found.path = str(path.parent / found.path)
            if not Path(found.path).is_file():
                raise DataError(f"{path}: no picture {found.path}; run the study again")
        elif isinstance(found, Panels):  # studies of several encoders have pictures of the same name
            found.name = f"{path.parent.name}_{found.name}"
        return found

    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_hook=part)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the section of a study ({error}); run the study again") from None
    if not isinstance(found, Section):
        raise DataError(f"{path}: not the section of a study, but {found!r:.40}; run the study again")
    return found


def interval(value, form: str = ".1f") -> str:
    """``13.8 [8.5, 20.7]``, a value and its interval; "-" without a value."""
    if value[0] is None or not math.isfinite(value[0]):
        return "-"
    return f"{value[0]:{form}} [{value[1]:{form}}, {value[2]:{form}}]"
