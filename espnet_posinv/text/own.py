"""The user's own normaliser, by name."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from espnet_posinv.kaldi.scp import DataError


def load_normalizer(name: str) -> Callable[[str], str]:
    """Load a function that takes a text and returns its words, separated by blanks.

    Args:
        name: ``FILE.py:FUNCTION`` or ``package.module:FUNCTION``.

    Raises:
        DataError: no such file, module or function.

    Example:
        >>> load_normalizer("string:capwords")("one  fifty")
        'One Fifty'
    """
    module, _, function = name.rpartition(":")
    try:
        if module.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module).stem, module)
            found = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found)
        else:
            sys.path.insert(0, "")  # a module in the recipe's folder
            found = importlib.import_module(module)
        return getattr(found, function)
    except (ImportError, OSError, ValueError, AttributeError) as error:
        raise DataError(f"normaliser {name!r}: {error}; write FILE.py:FUNCTION or module:FUNCTION") from None
