"""Files and folders that appear under their final names only when complete; hashes of files."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

FULL = 1 << 18  # bytes: a disk with fewer free bytes counts as full


def file_hash(path: str | Path, new: Callable = hashlib.sha256) -> str:
    """Hash of a file's content in hexadecimal digits (hashlib.file_digest, which Python 3.10 lacks)."""
    hasher = new()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


@contextmanager
def working_in(folder: str | Path) -> Iterator[None]:
    """Make a folder the working directory within the block (contextlib.chdir, which Python 3.10 lacks)."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, to be written; renamed to `path` when the block ends without error.

    The folder is created if it does not exist; a symbolic link is followed.

    Raises:
        OSError: in place of any error of the block if the disk is full, which few libraries report.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A different name for each process and host: several may write the same file of a shared folder.
    temporary = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except Exception as error:
        if shutil.disk_usage(path.parent).free < FULL and getattr(error, "errno", None) != errno.ENOSPC:
            raise OSError(errno.ENOSPC, f"the disk is full ({error})", str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[TextIO]:
    """Open a text file that appears complete; a device or named pipe is written directly."""
    text = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", **text) as file:
            yield file
        return
    with replacing(path) as temporary, open(temporary, "w", **text) as file:
        yield file


def complete_lines(path: str | Path, *, repair: bool = False) -> list[str]:
    """The lines of a file without an incomplete last one, left by a kill; `repair` removes that one."""
    if not os.path.exists(path):
        return []
    content = Path(path).read_bytes()
    content = content[: content.rfind(b"\n") + 1]
    if repair:
        os.truncate(path, len(content))
    return content.decode().split("\n")[:-1]


def read_json(path: str | Path, kind: type = dict) -> Any:
    """Read a JSON file of one object, or of a value of another kind.

    Raises:
        ValueError: it is another file.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        what = f"{path}:{error.lineno}: not JSON ({error.msg})"
        raise ValueError(f"{what}; delete the file or mend it") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; delete the file or mend it") from None
    if not isinstance(value, kind):
        what = f"{path}: holds a {type(value).__name__}, not a {kind.__name__}"
        raise ValueError(f"{what}; delete the file or mend it")
    return value


def read_yaml(path: str | Path) -> dict:
    """Read a YAML file of one mapping.

    Raises:
        ValueError: it is another file, or there is none.
    """
    import yaml

    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"no configuration {path}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; convert the file (iconv)") from None
    except yaml.YAMLError as error:
        mark, what = getattr(error, "problem_mark", None), str(error).splitlines()[0]
        where = f"{path}:{mark.line + 1}" if mark else path
        raise ValueError(f"{where}: not YAML ({getattr(error, 'problem', what)}); mend it") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}, a mapping of keys is needed")
    return value


def write_json(path: str | Path, value: object, **options) -> None:
    """Write a JSON file atomically; `options` are those of json.dump."""
    with atomic_write(path) as file:
        json.dump(value, file, **{"indent": 1, **options})
        file.write("\n")


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside `path`, to be filled; it replaces `path` when the block ends without error.

    After an error `path` is unchanged, and the temporary folder is deleted.
    """
    path = Path(os.path.realpath(path))  # a link may lead to another file system
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
