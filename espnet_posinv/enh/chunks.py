"""Let ESPnet's chunk iterator run with numpy 2.4 and newer."""

import numpy as np
from espnet2.iterators import chunk_iter_factory


def _int(value) -> int:
    return int(np.asarray(value).item())


def repair_chunk_iterator() -> None:
    """ESPnet calls int() on an array of one element, which numpy refuses since 2.4: give it one that does it.

    A no-op in effect where ESPnet does not (the name ``int`` of that one module keeps its meaning).
    """
    chunk_iter_factory.int = _int
