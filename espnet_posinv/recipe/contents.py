"""Facts about files, lists of audio and data directories that change if and only if their content changes.

A cache keeps the hash of each file with its size, times and inode, as git's index does, so that unchanged
files are not read again. A file that was replaced by another one of the same size and time is noticed; one
that was only touched or copied counts as unchanged. Standard library only, as stage.py.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espnet_posinv.files import file_hash
from espnet_posinv.kaldi.entry import files_behind, outputs

# A file as young as this may change again within the resolution of its times: not kept in the cache.
YOUNG = 2.0

Fact = dict[str, int | str | None]


class Contents:
    """Facts about paths; each file and each path is examined once per object.

    Args:
        cache: file that keeps hashes between runs; None: in memory only.
        run_pipes: run pipes that name no input files, to hash their output; else their audio is unknown.

    >>> Contents().describe(["/nowhere"])
    {'/nowhere': {'missing': 1}}
    """

    def __init__(self, cache: str | Path | None = None, *, run_pipes: bool = False):
        self._cache = Path(cache) if cache else None
        self._run_pipes = run_pipes
        self._known: dict[str, tuple[str, str]] | None = None
        self._hashes: dict[str, str] = {}
        self._facts: dict[str, Fact] = {}

    def describe(self, paths: Iterable[str | Path]) -> dict[str, Fact]:
        """A fact for each path, and for each file of a path that is a data directory.

        A ``.scp`` is described by its ids and the content of the audio files of its entries; a pipe by its
        command and the files that it names. If it names none, the fact has "pipes": a hash of its output, or
        None. Any other folder is described by its files without hidden ones and README.md, which no
        program reads.
        """
        found = {}
        for path in map(str, paths):
            found[path] = self._fact(path)
            if os.path.isfile(os.path.join(path, "utt2spk")):
                found |= {inner: self._fact(inner) for inner in _visible_files(path)}
        return found

    def _fact(self, path: str) -> Fact:
        if path not in self._facts:
            self._facts[path] = self._look_at(path)
        return self._facts[path]

    def _look_at(self, path: str) -> Fact:
        if os.path.isfile(os.path.join(path, "utt2spk")):
            return {"files": " ".join(os.path.basename(p) for p in _visible_files(path))}
        if os.path.isdir(path):
            files = sorted(_files_below(path))
            hashes = self.hashes(files)
            rows = ([os.path.relpath(file, path), hashes[file]] for file in files)
            return {"files": len(files), "content": _digest(rows)}
        if not os.path.exists(path):
            return {"missing": 1}
        if path.endswith(".scp"):
            return self._list(path)
        return {"content": self.hashes([path])[path]}

    def _list(self, path: str) -> Fact:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            table = [(*line.strip().split(None, 1), "", "")[:2] for line in lines]
        behind = {entry: files_behind(entry) for _, entry in table}
        hashes = self.hashes(f for files in behind.values() for f in files or () if os.path.isfile(f))
        rows = []
        for key, entry in table:
            files = behind[entry] or []
            told = "" if files == [entry] else entry
            rows.append([key, told, *(hashes[file] for file in files if file in hashes)])
        fact: Fact = {
            "entries": len(rows),
            "ids": _digest([key] for key, *_ in rows),
            "content": _digest(rows),
        }
        if missing := sum(not hashes.keys() >= set(files or ()) for files in behind.values()):
            fact["missing"] = missing
        if unknown := [entry for entry, files in behind.items() if files is None]:
            fact["pipes"] = _digest(outputs(unknown).items()) if self._run_pipes else None
        return fact

    def hashes(self, paths: Iterable[str]) -> dict[str, str]:
        """Hash of the content of each file, by path."""
        paths = list(dict.fromkeys(paths))
        new = [path for path in paths if path not in self._hashes]
        known = self._read_cache() if new else {}
        unread = []
        for path in new:
            if (old := known.get(path)) and old[0] == _state(path):
                self._hashes[path] = old[1]
            else:
                unread.append(path)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            read = list(pool.map(_read, unread))
        self._hashes |= {path: content for path, (_, content) in zip(unread, read, strict=True)}
        self._keep(zip(unread, read, strict=True))
        return {path: self._hashes[path] for path in paths}

    def _read_cache(self) -> Mapping[str, tuple[str, str]]:
        if self._known is None:
            self._known = {}
            if self._cache and self._cache.exists():
                for line in self._cache.read_text(encoding="utf-8", errors="surrogateescape").split("\n"):
                    if len(fields := line.split("\t")) == 3:  # a killed run may leave half a line
                        self._known[fields[0]] = (fields[1], fields[2])
        return self._known

    def _keep(self, entries) -> None:
        limit = time.time() - YOUNG
        lines = []
        for path, (state, content) in entries:
            times = [int(number) / 1e9 for number in state.split()[1:3]]
            if max(times) < limit and not re.search(r"[\t\n]", path):
                lines.append(f"\n{path}\t{state}\t{content}\n")
        if lines and self._cache:
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with open(self._cache, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write("".join(lines))  # appended: simultaneous writers do not overwrite each other


def _state(path: str) -> str:
    status = os.stat(path)
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _read(path: str) -> tuple[str, str]:
    state = _state(path)  # before the content, so that a change during reading is noticed next time
    return state, file_hash(path, lambda: hashlib.blake2b(digest_size=16))


def _digest(rows: Iterable[list[str]]) -> str:
    total = hashlib.blake2b(digest_size=16)
    for row in rows:
        total.update(repr(row).encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _visible_files(folder: str) -> list[str]:
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)) if not name.startswith("."))
    return [path for path in paths if os.path.isfile(path)]


def _files_below(folder: str) -> Iterable[str]:
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        yield from (os.path.join(root, n) for n in names if not n.startswith(".") and n != "README.md")
