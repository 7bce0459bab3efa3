"""LibriSpeech's layout: folders, tarballs, transcripts, and what is said of a part that is not whole."""

import tarfile

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.corpora import librispeech
from espnet_posinv.corpora.librispeech import find_part, read_part, write_set
from espnet_posinv.kaldi.check import check_data_dir
from espnet_posinv.kaldi.scp import DataError, read_scp

UTTERANCES = {
    "103-1240-0000": "CHAPTER ONE",
    "103-1240-0001": "IT'S HERS",
    "1034-7-0000": "TEN",
    "14-9-0000": "TWO",
}


def make_part(folder):
    for utt, text in UTTERANCES.items():
        reader, chapter, _ = utt.split("-")
        where = folder / reader / chapter
        where.mkdir(parents=True, exist_ok=True)
        soundfile.write(where / f"{utt}.flac", np.full(800, 0.1), 16000, subtype="PCM_16")
        with open(where / f"{reader}-{chapter}.trans.txt", "a") as file:
            file.write(f"{utt} {text}\n")
    return folder


@pytest.fixture
def part(tmp_path):
    return make_part(tmp_path / "own" / "LibriSpeech" / "test-clean")


def pack(part, tarball):
    with tarfile.open(tarball, "w:gz") as tar:
        tar.add(part, f"LibriSpeech/{part.name}")
    return tarball


def test_a_part_becomes_a_sound_data_directory(part, tmp_path):
    assert write_set([part], tmp_path / "data") == 4
    assert not list(check_data_dir(tmp_path / "data"))
    assert read_scp(tmp_path / "data/text") == {u: UTTERANCES[u] for u in sorted(UTTERANCES)}
    assert read_scp(tmp_path / "data/utt2spk")["103-1240-0001"] == "103"
    wavs = read_scp(tmp_path / "data/wav.scp")
    assert wavs == read_scp(tmp_path / "data/spk1.scp")
    assert wavs["14-9-0000"] == str(part / "14/9/14-9-0000.flac")
    assert set(read_scp(tmp_path / "data/utt2snr").values()) == {"inf"}


def test_one_of_so_many_and_several_parts(part, tmp_path):
    assert write_set([part], tmp_path / "half", every=2) == 2
    assert list(read_scp(tmp_path / "half/utt2spk")) == ["103-1240-0000", "1034-7-0000"]
    other = tmp_path / "dev-clean/5/6"
    other.mkdir(parents=True)
    soundfile.write(other / "5-6-0000.flac", np.zeros(800), 16000)
    (other / "5-6.trans.txt").write_text("5-6-0000 MORE\n")
    assert write_set([part, tmp_path / "dev-clean"], tmp_path / "both") == 5


def test_own_folder_in_all_its_forms(part, tmp_path):
    own, downloads = tmp_path / "own", tmp_path / "downloads"
    assert find_part("test-clean", own, downloads) == part
    assert find_part("test-clean", own / "LibriSpeech", downloads) == part
    tarballs = tmp_path / "tarballs"
    tarballs.mkdir()
    pack(part, tarballs / "test-clean.tar.gz")
    said = []
    unpacked = find_part("test-clean", tarballs, downloads, say=said.append)
    assert (
        unpacked == downloads / "LibriSpeech/test-clean" and read_part(unpacked).keys() == UTTERANCES.keys()
    )
    assert find_part("test-clean", tarballs, downloads, say=said.append) == unpacked
    assert len(said) == 1 and "unpacking" in said[0]  # once
    assert [p.name for p in tarballs.iterdir()] == ["test-clean.tar.gz"]
    with pytest.raises(DataError, match=r"neither dev-clean, .*LIBRISPEECH in db\.sh: correct it"):
        find_part("dev-clean", own, downloads)
    with pytest.raises(DataError, match="no part 'test-dirty'; there are dev-clean"):
        find_part("test-dirty", own, downloads)


def test_what_was_unpacked_serves_for_its_tarball_only(part, tmp_path, monkeypatch):
    one, two, downloads = tmp_path / "one", tmp_path / "two", tmp_path / "downloads"
    one.mkdir(), two.mkdir()
    pack(part, one / "test-clean.tar.gz")
    (part / "14/9/14-9.trans.txt").write_text("14-9-0000 OTHER\n")
    pack(part, two / "test-clean.tar.gz")

    def text(own):
        return read_part(find_part("test-clean", own, downloads, say=str))["14-9-0000"][2]

    assert [text(own) for own in (one, two, two, one)] == ["TWO", "OTHER", "OTHER", "TWO"]
    pack(part, one / "test-clean.tar.gz")  # in place
    assert text(one) == "OTHER"
    fetched = []
    monkeypatch.setattr(
        librispeech, "download", lambda urls, target, *_, **__: fetched.append(pack(part, target))
    )
    assert text(None) == "OTHER" and fetched == [downloads / "test-clean.tar.gz"]
    assert text(None) == text(None) and len(fetched) == 1


def test_fetched_when_nobody_has_it(part, tmp_path, monkeypatch):
    asked = []

    def download(urls, target, md5, say):
        asked.append((urls, md5))
        target.parent.mkdir()
        pack(part, target)

    monkeypatch.setattr(librispeech, "download", download)
    found = find_part("test-clean", None, tmp_path / "downloads", mirrors=["http://a", "http://b"], say=str)
    assert read_part(found).keys() == UTTERANCES.keys()
    assert asked == [
        (["http://a/test-clean.tar.gz", "http://b/test-clean.tar.gz"], "32fa31d27d2e1cad72775fee3f4849a9")
    ]
    assert find_part("test-clean", None, tmp_path / "downloads", say=str) == found and len(asked) == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda p: (p / "103/1240/103-1240-0001.flac").unlink(),
            r"trans.txt:2: 103-1240-0001.flac is missing",
        ),
        (lambda p: (p / "103/1240/103-1240-0000.flac").write_bytes(b""), r"trans.txt:1: .* is empty"),
        (lambda p: (p / "14/9/14-9.trans.txt").write_text(""), r"14-9.trans.txt: no transcript of 14-9-0000"),
        (lambda p: (p / "14/9/14-9.trans.txt").write_text("14-9-0000\n"), r"trans.txt:1: '14-9-0000' has no"),
        (lambda p: (p / "14/9/14-9.trans.txt").unlink(), r"14-9.trans.txt: no such file, but 1 flac files"),
        (lambda p: (p / "14/9/14-9-0001.flac").touch(), r"no transcript of 14-9-0001.flac"),
        (
            lambda p: (p / "14/9/14-9.trans.txt").write_text("14-9-0000 TWO\n15-9-0000 X\n"),
            r"trans.txt:2: '15-9-0000' does not belong into 14-9",
        ),
    ],
)
def test_a_part_that_is_not_whole_is_refused(part, spoil, message):
    spoil(part)
    with pytest.raises(DataError, match=message):
        read_part(part)


@pytest.mark.parametrize(
    ("rate", "shape", "message"),
    [
        (
            8000,
            800,
            r"14-9-0000\.flac: 1 channel\(s\) at 8000 Hz, where LibriSpeech has one at 16000: unpack",
        ),
        (16000, (800, 2), r"14-9-0000\.flac: 2 channel\(s\) at 16000 Hz"),
        (None, 0, r"14-9-0000\.flac: cannot be read as audio .*unpack the part again"),
    ],
)
def test_audio_of_another_kind_is_refused(part, tmp_path, rate, shape, message):
    path = part / "14/9/14-9-0000.flac"
    if rate:
        soundfile.write(path, np.full(shape, 0.1), rate, subtype="PCM_16")
    else:
        path.write_bytes(path.read_bytes()[:20])  # within its header
    with pytest.raises(DataError, match=message):
        write_set([part], tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_strange_files_beside_the_readers_do_no_harm(part):
    (part / ".DS_Store").touch()
    (part / "notes").mkdir()
    (part / "103" / "README.txt").touch()
    assert read_part(part).keys() == UTTERANCES.keys()


def test_an_empty_folder_is_no_part(tmp_path):
    with pytest.raises(DataError, match="is it a part of LibriSpeech"):
        read_part(tmp_path)


def test_broken_tarballs_leave_nothing(part, tmp_path):
    tarball = pack(part, tmp_path / "test-clean.tar.gz")
    whole = tarball.read_bytes()
    tarball.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"test-clean.tar.gz: broken or cut off .*delete it"):
        find_part("test-clean", tmp_path, tmp_path / "d", say=str)
    tarball.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="broken or cut off"):
        find_part("test-clean", tmp_path, tmp_path / "d", say=str)
    with tarfile.open(tarball, "w:gz") as tar:
        tar.add(part, "LibriSpeech/../../test-clean")
    with pytest.raises(DataError, match="no plain file below its folder"):
        find_part("test-clean", tmp_path, tmp_path / "d", say=str)
    pack(part.rename(part.with_name("dev-clean")), tarball)
    with pytest.raises(DataError, match="no LibriSpeech/test-clean in it"):
        find_part("test-clean", tmp_path, tmp_path / "d", say=str)
    assert not list((tmp_path / "d/LibriSpeech").iterdir())


def test_command(part, tmp_path, capsys):
    own = ["--librispeech", str(tmp_path / "own")]
    assert (
        command("data", "librispeech")(
            [str(tmp_path / "data"), *own, "--every", "4", "--parts", "test-clean"]
        )
        == 0
    )
    assert "1 utterances; test-clean as published would give 655" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no part 'x'"):
        command("data", "librispeech")([str(tmp_path / "other"), *own, "--parts", "test-clean", "x"])
