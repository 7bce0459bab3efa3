"""numba's `njit` with a disk cache; problems of the cache cause a warning, never an error."""

import warnings
import zlib
from functools import cache
from pathlib import Path

from numba import njit
from numba.core.caching import FunctionCache

# numba reuses a cached kernel while the kernel's own file is unchanged.  This number, part of the key, also
# covers changes of all functions that are compiled into it.
SOURCES = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))))


class _Cache(FunctionCache):
    def _index_key(self, signature, codegen):
        return (*super()._index_key(signature, codegen), SOURCES)

    def load_overload(self, signature, target_context):
        """The compiled function, or None; an unreadable file is deleted, to be written again."""
        try:
            return super().load_overload(signature, target_context)
        except Exception:  # the file is truncated: unpickling raises many types
            try:
                self.flush()
            except OSError as error:
                _warn_once(str(error))

    def save_overload(self, signature, data):
        try:
            super().save_overload(signature, data)
        except Exception as error:  # a full disk, or an index that cannot be read or replaced
            _warn_once(f"{type(error).__name__}: {error}")


@cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"soft-DTW: numba cannot cache its compiled code ({reason}), so every process compiles again for "
        "about ten seconds; set NUMBA_CACHE_DIR to a writable folder",
        RuntimeWarning,
        stacklevel=2,
    )


def compiled(**options):
    """Decorator: `njit` without the GIL, cached on disk if possible."""

    def decorate(function):
        dispatcher = njit(nogil=True, **options)(function)
        try:
            dispatcher._cache = _Cache(function)
        except (RuntimeError, OSError):  # numba's own message names one function only
            _warn_once("no folder for its cache is writable")
        return dispatcher

    return decorate
