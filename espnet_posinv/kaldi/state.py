"""What the audio of a wav.scp depends on, so that what was made of it is made anew when it changes."""

import hashlib
import os
import re
import shlex
from collections.abc import Mapping

from espnet_posinv.kaldi.audio import archive_of, is_pipe, run_pipe
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError

# Programs that read nothing but what their command line names.
_READERS = {
    *("cat", "head", "tail", "gunzip", "gzip", "zcat"),
    *("ffmpeg", "flac", "lame", "mpg123", "oggdec", "opusdec", "sox", "sph2pipe"),
}
_LIST_OR_ADDRESS = re.compile(r"://|\bconcat\b|\.(m3u8?|pls)\b")


def state(entry: str) -> str | None:
    """A text that changes with the audio of a wav.scp entry: size and times of its files.

    None for a pipe that does not show what it reads (a script, a variable, an address): only its output
    tells.
    """
    files = _files_of_pipe(entry) if is_pipe(entry) else [archive_of(entry) or entry]
    return None if files is None else " ".join(map(_stat, files))


def fingerprint(table: Mapping[str, str]) -> str:
    """Hash of ids, entries and what their audio depends on: changes when the audio does.

    Pipes whose output alone tells are run.
    """
    found = {entry: state(entry) for entry in dict.fromkeys(table.values())}
    opaque = [entry for entry, known in found.items() if known is None]
    label = "pipes whose audio may have changed"
    found |= dict(zip(opaque, parallel_map(_hash_of_output, opaque, label=label), strict=True))
    digest = hashlib.sha256()
    for utterance in sorted(table):
        digest.update(f"{utterance} {table[utterance]} {found[table[utterance]]}\n".encode())
    return digest.hexdigest()


def _files_of_pipe(entry: str) -> list[str] | None:
    """Files that a pipe names, if these are all that it reads; else None."""
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


def _stat(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "-"  # reported when the entry is opened
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _hash_of_output(entry: str) -> str:
    try:
        return hashlib.sha256(run_pipe(entry)).hexdigest()
    except DataError:
        return "-"  # reported when the entry is opened
