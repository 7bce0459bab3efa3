"""Prevents downloads when ESPnet is imported.

ESPnet's text module imports g2p_en, whose import downloads two data files with nltk: without network each
process waits for time-outs, else it writes to the home folder. Users of g2p_en fetch the data once, as the
error message about missing data explains.
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
            from unittest import mock  # a slow import for small commands

            with mock.patch("nltk.download", return_value=False):
                run(module)

        spec.loader.exec_module = without_downloads
        return spec


def install() -> None:
    """Watch imports from now on; once per process is enough."""
    if _QuietImport not in sys.meta_path:
        sys.meta_path.insert(0, _QuietImport)
