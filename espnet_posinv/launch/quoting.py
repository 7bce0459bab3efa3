"""Quoting of words for a launcher's command line."""

import re
import shlex


def literal(word: str) -> str:
    r"""Quote a word so that run.pl, slurm.pl and queue.pl, ours or Kaldi's, pass it to the command unchanged.

    They pass words without blanks to bash unquoted, so that ``\| sort`` works, and quote words with blanks.
    So the result has no blanks: each is an escape. The job variable in ``part.JOB`` is still replaced.

    >>> literal("exp/part.JOB"), literal("exp (1)/part.JOB")
    ('exp/part.JOB', "'exp'$'\\x20''(1)/part.JOB'")
    """
    return re.sub(r"\s", lambda blank: f"'$'\\x{ord(blank[0]):02x}''", shlex.quote(word), flags=re.ASCII)
