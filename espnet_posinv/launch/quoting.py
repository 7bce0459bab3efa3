"""Words of a command as a launcher wants them."""

import re
import shlex


def literal(word: str) -> str:
    r"""A word that arrives at the command as it is, through run.pl, slurm.pl, queue.pl, ours or Kaldi's.

    They hand a word without blanks to bash unquoted, so that ``\| sort`` works, and put quotes of their own
    around one with blanks. So the quoted word has none: each blank is an escape. The job variable of a
    ``part.JOB`` stays a word of its own.

    >>> literal("exp/part.JOB"), literal("exp (1)/part.JOB")
    ('exp/part.JOB', "'exp'$'\\x20''(1)/part.JOB'")
    """
    return re.sub(r"\s", lambda blank: f"'$'\\x{ord(blank[0]):02x}''", shlex.quote(word), flags=re.ASCII)
