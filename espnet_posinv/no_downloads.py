"""Importing ESPnet downloads nothing.

ESPnet's text module imports g2p_en, which asks nltk for two data files as soon as it is imported: on a node
without network each process waits for time-outs, on others it writes to the home. Who wants pronunciations by
g2p_en fetches the data once, as the error of whoever needs them says.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder


class _QuietImport:
    """Finds g2p_en as Python does, and keeps nltk from downloading while it is imported."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        if name != "g2p_en" or (spec := PathFinder.find_spec(name, path, target)) is None:
            return None
        run = spec.loader.exec_module

        def without_downloads(module) -> None:
            from unittest import mock  # takes as long as all else that a small command imports

            with mock.patch("nltk.download", return_value=False):
                run(module)

        spec.loader.exec_module = without_downloads
        return spec


def install() -> None:
    """Watch imports from now on; once per process is enough."""
    if _QuietImport not in sys.meta_path:
        sys.meta_path.insert(0, _QuietImport)
