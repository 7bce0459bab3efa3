"""Entries of a wav.scp: what kind each is, and what its audio depends on. Standard library only."""

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping

from espnet_posinv.kaldi.scp import DataError

ARCHIVE = re.compile(r"(.+):(\d+)(\[.*\])?")
# Programs that read nothing but what their command line names.
_READERS = {
    *("cat", "head", "tail", "gunzip", "gzip", "zcat"),
    *("ffmpeg", "flac", "lame", "mpg123", "oggdec", "opusdec", "sox", "sph2pipe"),
}
_LIST_OR_ADDRESS = re.compile(r"://|\bconcat\b|\.(m3u8?|pls)\b")


def is_pipe(entry: str) -> bool:
    """Whether an entry is a command whose output is the audio."""
    return entry.rstrip().endswith("|")


def archive_of(entry: str) -> str | None:
    """The archive of an entry ``archive:offset``, else None."""
    match = ARCHIVE.fullmatch(entry)
    return match[1] if match and not os.path.exists(entry) else None


def files_behind(entry: str) -> list[str] | None:
    """The files that an entry is read from, which may be missing.

    None for a pipe whose files are unknown (it has a script, a variable, an address): only its output shows
    whether its audio has changed.
    """
    if not is_pipe(entry):
        return [archive_of(entry) or entry]
    command = entry.rstrip()[:-1]
    if _LIST_OR_ADDRESS.search(command) or re.search(r"[$`;&<>(){}*?\[\]~\\\n]", command):
        return None
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return None
    programs = [word for word, before in zip(words, ["|", *words], strict=False) if before == "|"]
    if any(word.startswith("|") and word != "|" for word in words):
        return None
    if not all(os.path.basename(program) in _READERS for program in programs):
        return None
    files = [word for word in words if os.path.isfile(word)]
    return files or None


def run_pipe(entry: str) -> bytes:
    """Output of a pipe entry; every command of the pipeline must succeed."""
    command = entry.rstrip()[:-1]
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise DataError(f"{entry}: exit status {done.returncode}: {' / '.join(said) or 'no message'}")
    if not done.stdout:
        raise DataError(f"{entry}: the command printed nothing")
    return done.stdout


def outputs(entries: Iterable[str]) -> dict[str, str]:
    """Hash of each pipe's output. "-" if it fails: opening the entry reports the error."""
    from espnet_posinv.kaldi.parallel import parallel_map  # a slow import, and most lists have no such pipe

    entries = list(dict.fromkeys(entries))
    found = parallel_map(_hash_of_output, entries, label="pipes whose audio may have changed")
    return dict(zip(entries, found, strict=True))


def state(entry: str) -> str | None:
    """Size and times of an entry's files, which change with its audio; None as in `files_behind`."""
    files = files_behind(entry)
    return None if files is None else " ".join(map(_stat, files))


def fingerprint(table: Mapping[str, str]) -> str:
    """Hash of ids, entries and what their audio depends on: changes when the audio does.

    Pipes whose files are unknown are run.
    """
    found = {entry: state(entry) for entry in table.values()}
    found |= outputs(entry for entry, known in found.items() if known is None)
    digest = hashlib.sha256()
    for utterance in sorted(table):
        digest.update(f"{utterance} {table[utterance]} {found[table[utterance]]}\n".encode())
    return digest.hexdigest()


def _stat(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "-"  # opening the entry reports the error
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _hash_of_output(entry: str) -> str:
    try:
        return hashlib.sha256(run_pipe(entry)).hexdigest()
    except DataError:
        return "-"
