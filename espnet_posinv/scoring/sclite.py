"""Scoring with NIST's sclite, and comparison of its totals with ours.

Both align words at least cost, but sclite's costs are 4 for a substitution, 3 for an insertion or deletion.
With E our minimum of errors and E' sclite's, ``3 E' <= its cost <= cost of our alignment <= 4 E``: so
``E <= E' <= 4 E / 3``. The words of the references must be as many on both sides.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError

PLACES = ("/usr/lib/sctk/bin",)  # Debian's package sctk is not on PATH


def find_sclite() -> str | None:
    """Path of sclite, if it is installed."""
    return shutil.which("sclite", path=os.pathsep.join([os.environ.get("PATH", ""), *PLACES]))


def run_sclite(scores: dict[str, dict], folder: str | Path) -> dict:
    """sclite's sums ``{"S", "D", "I", "N", "sentences", "report"}`` of the same texts.

    Args:
        scores: by utterance, with normalised ref and hyp and our counts (:func:`~.wer.score_texts`).
        folder: gets ref.trn, hyp.trn and sclite's report result.txt.

    Raises:
        DataError: sclite is not installed or fails, or its totals do not fit ours.
    """
    program = find_sclite()
    if not program:
        raise DataError("sclite is not installed (Debian: apt-get install sctk), or put it on PATH")
    folder = Path(folder)
    for side in ("ref", "hyp"):
        with atomic_write(folder / f"{side}.trn") as file:
            file.writelines(f"{score[side]} ({_safe(name)})\n" for name, score in scores.items())
    command = [program, "-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-e", "utf-8", "-s"]
    done = subprocess.run([*command, "-o", "all", "stdout"], cwd=folder, capture_output=True, check=False)
    report = done.stdout.decode(errors="replace")
    sums = _sums(report)
    if done.returncode or sums is None:
        said = " / ".join((done.stderr.decode(errors="replace") or report).strip().splitlines()[-3:])
        raise DataError(f"{folder}: sclite failed with status {done.returncode}: {said}")
    with atomic_write(folder / "result.txt") as file:
        file.write(report)
    _check(sums, scores, folder)
    return {**sums, "report": str(folder / "result.txt")}


def _sums(report: str) -> dict[str, int] | None:
    """Counts of the line ``| Sum | # Snt # Wrd | Corr Sub Del Ins Err S.Err |`` of the raw table."""
    for line in report.splitlines():
        numbers = re.fullmatch(r"\s*\|\s*Sum\s*\|\s*(\d+)\s+(\d+)\s*\|((?:\s+\d+){6})\s*\|\s*", line)
        if numbers:
            _, substitutions, deletions, insertions, _, _ = map(int, numbers[3].split())
            names = ("sentences", "N", "S", "D", "I")
            values = (int(numbers[1]), int(numbers[2]), substitutions, deletions, insertions)
            return dict(zip(names, values, strict=True))
    return None


def _check(sums: dict, scores: dict[str, dict], folder: Path) -> None:
    words = sum(score["N"] for score in scores.values())
    errors = sum(score["S"] + score["D"] + score["I"] for score in scores.values())
    theirs = sums["S"] + sums["D"] + sums["I"]
    if sums["N"] != words or sums["sentences"] != len(scores) or not errors <= theirs <= 4 * errors / 3:
        raise DataError(
            f"{folder}: sclite counts {theirs} errors in {sums['N']} words of {sums['sentences']} "
            f"utterances, we {errors} in {words} of {len(scores)}; see result.txt there"
        )


def _safe(name: str) -> str:
    """An utterance's id, if it has no brackets or blanks, which sclite does not accept."""
    if re.search(r"[()\s]", name):
        raise DataError(f"utterance {name!r}: sclite takes no ids with brackets or blanks")
    return name
