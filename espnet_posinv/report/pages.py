"""Results beside the scores that are Markdown already: convergence, probes, ablations."""

import re
import shutil
from pathlib import Path

from espnet_posinv.kaldi.scp import DataError

# In an experiment folder; for each encoder a folder where there are several.
PAGES = (
    "convergence/convergence.md",
    "convergence/*/convergence.md",
    "probe/*/probe.md",
    "ablation/table.md",
)
_HEADING = re.compile(r"^(#+)(?= )", re.MULTILINE)
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")


def find_pages(experiments: Path) -> list[Path]:
    """The Markdown files of an experiment folder."""
    return [path for pattern in PAGES for path in sorted(experiments.glob(pattern))]


def section(path: Path, images: Path) -> str:
    """A page as a section of another one: its first heading at level 2, its pictures copied to `images`.

    Args:
        path: the Markdown file.
        images: folder beside the other page; exists.

    Raises:
        DataError: a picture is missing.
    """
    text = path.read_text(encoding="utf-8").strip()
    first = _HEADING.search(text)
    lower = 2 - len(first[1]) if first else 0

    def copied(match: re.Match) -> str:
        picture = path.parent / match[2]
        if not picture.is_file():
            raise DataError(f"{path}: no picture {picture}")
        name = f"{path.parent.name}_{picture.name}"
        shutil.copyfile(picture, images / name)
        return f"![{match[1]}]({images.name}/{name})"

    return _PICTURE.sub(copied, _HEADING.sub(lambda m: "#" * (len(m[1]) + lower), text))
