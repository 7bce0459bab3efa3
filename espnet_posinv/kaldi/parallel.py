"""Applying a function to many items in several processes, with a progress line."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from espnet_posinv.kaldi.scp import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")


def parallel_map(
    function: Callable[[Item], Result], items: Sequence[Item], *, label: str, jobs: int | None = None
) -> Iterator[Result]:
    """The results of ``function`` in the order of ``items``, as they become ready.

    Args:
        function: defined in a module, so that other processes can import it.
        label: of the progress line on stderr.
        jobs: processes; default: the cores that this process may use.

    Raises:
        DataError: a process was killed.
    """
    jobs = min(jobs or len(os.sched_getaffinity(0)), len(items))
    progress = _Progress(label, len(items))
    if jobs <= 1:
        for item in items:
            yield progress.count(function(item))
        return
    pool = ProcessPoolExecutor(jobs)
    try:
        chunk = max(1, min(64, len(items) // (4 * jobs)))
        for result in pool.map(function, items, chunksize=chunk):
            yield progress.count(result)
    except BrokenProcessPool:
        raise DataError(
            f"{label}: a process was killed, probably for want of memory; use fewer (--nj), and run again "
            "to go on with what is left"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


class _Progress:
    """A line that is rewritten on a terminal, and printed every half minute into a log.

    From the second line on it shows the time left, by the pace since the first line: before that, processes
    start and load models.
    """

    def __init__(self, label: str, total: int):
        self.label, self.total, self.done = label, total, 0
        self.terminal = sys.stderr.isatty()
        self.first: tuple[float, int] | None = None  # when, and how many were done
        self.next = time.monotonic() + (0.2 if self.terminal else 30)

    def count(self, result: Result) -> Result:
        self.done += 1
        now = time.monotonic()
        if now >= self.next or (self.done == self.total and self.terminal):
            line = f"{self.label}: {self.done}/{self.total}"
            if self.first and self.done > self.first[1]:
                pace = (now - self.first[0]) / (self.done - self.first[1])
                line += f", {time_left(pace * (self.total - self.done))}"
            self.first = self.first or (now, self.done)
            end = "\n" if not self.terminal or self.done == self.total else "\x1b[K\r"
            print(line, end=end, file=sys.stderr, flush=True)
            self.next = now + (0.2 if self.terminal else 30)
        return result


def time_left(seconds: float) -> str:
    """An estimate of the time left, in words.

    >>> time_left(40), time_left(83), time_left(9000)
    ('40 s left', '2 min left', '2 h 30 min left')
    """
    if seconds < 60:
        return f"{seconds:.0f} s left"
    minutes = -(-round(seconds) // 60)
    return f"{minutes} min left" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min left"
