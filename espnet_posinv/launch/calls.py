"""Calls of a launcher from Python: quoting of its words, jobs of our own commands."""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence


def literal(word: str) -> str:
    r"""Quote a word so that run.pl, slurm.pl and queue.pl, ours or Kaldi's, pass it to the command unchanged.

    They pass words without blanks to bash unquoted, so that ``\| sort`` works, and quote words with blanks.
    So the result has no blanks: each is an escape. The job variable in ``part.JOB`` is still replaced.

    >>> literal("exp/part.JOB"), literal("exp (1)/part.JOB")
    ('exp/part.JOB', "'exp'$'\\x20''(1)/part.JOB'")
    """
    return re.sub(r"\s", lambda blank: f"'$'\\x{ord(blank[0]):02x}''", shlex.quote(word), flags=re.ASCII)


def run_jobs(launcher: str, first: int, last: int, log: str, words: Sequence[str]) -> int:
    """Run ``posinv WORDS`` as jobs JOB = first ... last; returns the launcher's exit status.

    Args:
        launcher: with its options, like ``utils/slurm.pl --mem 8G``.
        log: path with the word JOB; JOB is replaced in `words`, too.
    """
    command = [sys.executable, "-m", "espnet_posinv", *words]
    launch = [*shlex.split(launcher), f"JOB={first}:{last}", log, *map(literal, command)]
    return subprocess.run(launch, check=False).returncode
