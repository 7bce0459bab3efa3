"""The attribution notice for data and models made from others' recordings."""

from collections.abc import Iterable
from pathlib import Path

from espnet_posinv.corpora.catalogue import ARCHIVES
from espnet_posinv.files import atomic_write


def write_attribution(path: Path, names: Iterable[str]) -> None:
    """Write a Markdown table of archives, licences, credits and hashes to `path`."""
    rows = ["| archive | what | licence | credit | SHA-256 |", "|---|---|---|---|---|"]
    for name in names:
        a = ARCHIVES[name]
        rows.append(
            f"| {a.name} {a.version} ({a.kind}) | {a.what} | {a.licence} | {a.credit} | `{a.sha256}` |"
        )
    text = (
        "# Where these recordings and models come from\n\n"
        "Mixtures of several recordings are adaptations of each of them: pass them on only under licences "
        "that all of them allow, and with this notice. "
        "Full licence texts lie in the archives "
        "(`usr/share/doc/*/copyright`, `*.dist-info`).\n\n" + "\n".join(rows) + "\n"
    )
    with atomic_write(path) as file:
        file.write(text)
