"""numba's `njit` with a cache on disk that no file system and no interrupted process turns into an error."""

import warnings
import zlib
from functools import cache
from pathlib import Path

from numba import njit
from numba.core.caching import FunctionCache

# numba would use a cached kernel as long as the kernel's own file stays the same.  This number is part of the
# key, so that a change of any function that is compiled into it counts too.
SOURCES = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))))


class _Cache(FunctionCache):
    def _index_key(self, signature, codegen):
        return (*super()._index_key(signature, codegen), SOURCES)

    def load_overload(self, signature, target_context):
        """The compiled function, or None; a file that cannot be read is forgotten, to be written again."""
        try:
            return super().load_overload(signature, target_context)
        except Exception:  # an interrupted process or a full disk cut it off: unpickling fails in many ways
            try:
                self.flush()
            except OSError as error:
                _warn_once(str(error))

    def save_overload(self, signature, data):
        try:
            super().save_overload(signature, data)
        except Exception as error:  # a full disk, or an index that can neither be read nor replaced
            _warn_once(f"{type(error).__name__}: {error}")


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"soft-DTW: every process compiles anew, for some ten seconds: numba cannot keep what it compiles "
        f"({reason}); set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=2,
    )


def compiled(**options):
    """Decorator: `njit` without the GIL, kept on disk where that is possible."""

    def decorate(function):
        dispatcher = njit(nogil=True, **options)(function)
        try:
            dispatcher._cache = _Cache(function)
        except (RuntimeError, OSError):  # numba's error names one function of several
            _warn_once("no folder for its cache can be written to")
        return dispatcher

    return decorate
