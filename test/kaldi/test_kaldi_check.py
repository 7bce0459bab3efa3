"""The checker finds each problem, with file and line; the fixer repairs what has one repair."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from espnet_posinv.kaldi import (
    DataDir,
    DataError,
    check_data_dir,
    fix_data_dir,
    read_scp,
    write_data_dirs,
)
from espnet_posinv.kaldi.check import FIX, Needs, report

UTTS = ["a-1", "a-2", "b-1", "b-2"]
FILES = {
    "utt2spk": "".join(f"{utt} {utt[0]}\n" for utt in UTTS),
    "spk2utt": "a a-1 a-2\nb b-1 b-2\n",
    "wav.scp": "".join(f"{utt} /n/{utt}.wav\n" for utt in UTTS),
    "spk1.scp": "".join(f"{utt} /c/{utt}.wav\n" for utt in UTTS),
    "noise1.scp": "".join(f"{utt} /o/{utt}.wav\n" for utt in UTTS),
    "text": "a-1 ONE\na-2\nb-1 THREE\nb-2 FOUR\n",
    "utt2num_samples": "".join(f"{utt} 16000\n" for utt in UTTS),
    "utt2dur": "".join(f"{utt} 1.0\n" for utt in UTTS),
    "spk2gender": "a m\nb f\n",
}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    for name, content in FILES.items():
        (path / name).write_text(content)
    return path


def put(path, name, content):
    (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def problems(path, **needs):
    return [str(p).removeprefix(f"{path}/") for p in check_data_dir(path, Needs(**needs))]


def test_a_sound_directory(data):
    assert problems(data) == []
    shutil.rmtree(data / ".backup", ignore_errors=True)


# file, its content, (where, what) of every problem that must be reported, and nothing else
BROKEN = [
    ("utt2spk", "a-1 a\na-2 a x\nb-1 b\nb-2 b\n", ["utt2spk:2: 'a-2' has 2 values instead of 1: 'a x'"]),
    (
        "utt2spk",
        "a-1 a\na-1 a\na-2 a\nb-1 b\nb-2 b\n",
        ["utt2spk:2: 'a-1' is given again with the same"],
    ),
    (
        "utt2spk",
        "a-1 a\na-1 b\na-2 a\nb-1 b\nb-2 b\n",
        ["utt2spk:2: 'a-1' is given again with another"],
    ),
    ("wav.scp", "a-2 x\na-1 x\nb-1 x\nb-2 x\n", ["wav.scp:2: 'a-1' comes after 'a-2': not sorted"]),
    ("wav.scp", "a-1 x\n\na-2 x\nb-1\nb-2 x\n", ["wav.scp:2: blank line", "wav.scp:4: 'b-1' has no value"]),
    ("wav.scp", "a-1 x\na-2 x\nb-1 x\nb-2 x", ["wav.scp: no newline at the end"]),
    ("wav.scp", "a-1 x\na-2 x\r\nb-1 x\r\nb-2 x\n", ["wav.scp:2: carriage return"]),
    ("wav.scp", b"a-1 x\na-2 \xe9\nb-1 x\nb-2 x\n", ["wav.scp:2: not UTF-8"]),
    (
        "spk1.scp",
        "a-1 x\na-3 x\nb-2 x\n",
        [
            "spk1.scp:2: utterance 'a-3' is not in utt2spk",
            "spk1.scp: utterance 'a-2' of utt2spk is missing",
            "spk1.scp: utterance 'b-1' of utt2spk is missing",
        ],
    ),
    ("noise1.scp", "a-1 x\na-2 x\nb-1 x\n", ["noise1.scp: utterance 'b-2' of utt2spk is missing"]),
    ("spk2gender", "a m\n", ["spk2gender: speaker 'b' of utt2spk is missing"]),
    ("spk2gender", "a m\nb x\n", ["spk2gender:2: 'b': neither m nor f"]),
    (
        "spk2utt",
        "a a-1 a-2 b-1\nb b-2 c-9\n",
        [
            "spk2utt:1: utterance 'b-1' of 'a' has speaker 'b' in utt2spk",
            "spk2utt:2: utterance 'c-9' of 'b' does not exist in utt2spk",
        ],
    ),
    ("spk2utt", "a a-1\nb b-1 b-2\n", ["spk2utt: utterance 'a-2' of 'a' is missing"]),
    (
        "utt2num_samples",
        "a-1 16000\na-2 1.5\nb-1 0\nb-2 x\n",
        [
            "utt2num_samples:2: 'a-2': not a whole number above 0: '1.5'",
            "utt2num_samples:3: 'b-1': not a whole number above 0: '0'",
            "utt2num_samples:4: 'b-2': not a whole number above 0: 'x'",
        ],
    ),
    (
        "utt2dur",
        "a-1 1\na-2 -1\nb-1 nan\nb-2 x\n",
        ["utt2dur:2: 'a-2'", "utt2dur:3: 'b-1'", "utt2dur:4: 'b-2'"],
    ),
    (
        "text",
        "",
        ["text: the file is empty", *[f"text: utterance '{utt}' of utt2spk is missing" for utt in UTTS]],
    ),
]


@pytest.mark.parametrize(("name", "content", "expected"), BROKEN, ids=lambda value: str(value)[:40])
def test_every_problem_is_reported_with_its_place(data, name, content, expected):
    put(data, name, content)
    found = problems(data)
    found_here = [p for p in found if p.startswith(f"{name}:")]
    assert len(found_here) == len(expected)
    for what, where in zip(found_here, expected, strict=True):
        assert what.startswith(where)
        assert "; " in what  # what to do
    if name != "utt2spk":
        assert found == found_here


def test_all_problems_at_once(data):
    for name, content, _ in BROKEN[3:]:
        put(data, name, content)
    found = problems(data, feats=True)
    for name in {name for name, _, _ in BROKEN[3:]} | {"feats.scp"}:
        assert any(p.startswith(f"{name}:") for p in found), name


def test_needs(data):
    (data / "text").unlink()
    (data / "wav.scp").unlink()
    assert problems(data, feats=True) == [
        "feats.scp: no such file; make it, or give --no-feats",
        "text: no such file; make it, or give --no-text",
        "wav.scp: no such file; make it, or give --no-wav",
    ]
    assert problems(data, text=False, wav=False) == []


def test_no_directory_and_no_utt2spk(tmp_path, data):
    assert "no such directory" in problems(tmp_path / "none")[0]
    (data / "utt2spk").unlink()
    assert "utt2spk: no such file" in problems(data)[0]


def test_speaker_order(tmp_path):
    """Sorted by utterance the speakers alternate, which sort-and-merge tools cannot take."""
    put(tmp_path, "utt2spk", "u1 b\nu2 a\n")
    put(tmp_path, "spk2utt", "a u2\nb u1\n")
    assert problems(tmp_path, text=False, wav=False) == [
        "utt2spk: sorted by utterance, speaker 'a' (of 'u2') comes after 'b'; "
        "begin utterance ids with the speaker id and '-', or give --no-spk-sort"
    ]
    assert problems(tmp_path, text=False, wav=False, spk_sort=False) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a-2 r1 1.5", "'a-2' has 2 values instead of 3"),
        ("a-2 r1 2 1", "'a-2': runs from 2 to 1 s"),
        ("a-2 r1 one 2", "'a-2': times that are not numbers"),
        ("a-2 r1 -1 2", "'a-2': runs from -1 to 2 s"),
    ],
)
def test_segments(data, line, what):
    put(data, "segments", f"a-1 r1 0 1\n{line}\nb-1 r2 0 -1\nb-2 r2 1 2.5\n")
    put(data, "wav.scp", "r1 x\nr2 x\n")
    put(data, "spk1.scp", "r1 x\nr2 x\n")
    put(data, "noise1.scp", "r1 x\nr3 x\n")
    found = problems(data)
    assert found[0].startswith(f"segments:2: {what}")
    assert found[1:3] == [
        f"noise1.scp:2: recording 'r3' is not in segments; {FIX}",
        f"noise1.scp: recording 'r2' of segments is missing; add it, or {FIX} to drop it everywhere",
    ]
    assert len(found) == 3


def test_the_report_is_cut_but_counted(tmp_path, capsys, data):
    put(data, "spk1.scp", "".join(f"z-{k:03d} x\n" for k in range(200)))
    count = report(check_data_dir(data), sys.stdout, most=3)
    lines = capsys.readouterr().out.splitlines()
    assert count == 204
    assert sum("is not in utt2spk; run" in line for line in lines) == 3
    assert any("and 197 more" in line for line in lines)


# ---------------------------------------------------------------- fixing


def test_a_sound_directory_is_not_touched(data):
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in data.iterdir()}
    said = []
    assert fix_data_dir(data, said.append) is False
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in data.iterdir()} == before
    assert said == [f"{data}: nothing to fix, 4 utterances"]


def test_incomplete_utterances_go_everywhere_and_it_is_said(data):
    put(data, "spk1.scp", "b-2 /c/b-2.wav\r\na-1 /c/a-1.wav\n\nb-1 /c/b-1.wav\nb-1 /c/b-1.wav\nz-1 /c/z.wav")
    before = {p.name: p.read_bytes() for p in data.iterdir()}
    said = []
    assert fix_data_dir(data, said.append) is True
    assert problems(data) == []
    for name in FILES:
        if not name.startswith("spk2"):
            assert list(DataDir(data).read(name)) == ["a-1", "b-1", "b-2"], name
    assert read_scp(data / "spk1.scp")["b-2"] == "/c/b-2.wav"
    assert read_scp(data / "spk2utt") == {"a": "a-1", "b": "b-1 b-2"}
    assert f"{data}/text: 'a-2' dropped: not in spk1.scp" in said
    assert f"{data}/spk1.scp: 'z-1' dropped: not in utt2spk" in said
    assert f"{data}/spk1.scp:3: blank line dropped" in said
    backup = next((data / ".backup").iterdir())
    assert {p.name: p.read_bytes() for p in backup.iterdir()} == before


def test_a_speaker_whose_utterances_are_gone_goes_too(data):
    put(data, "noise1.scp", "a-1 x\na-2 x\n")
    fix_data_dir(data, lambda line: None)
    assert problems(data) == []
    assert read_scp(data / "spk2gender") == {"a": "m"}


def test_conflicts_are_never_guessed(data):
    put(data, "wav.scp", FILES["wav.scp"] + "a-1 /other.wav\n")
    put(data, "utt2spk", FILES["utt2spk"] + "b-1 a\n")
    before = {p.name: p.read_bytes() for p in data.iterdir()}
    with pytest.raises(DataError) as error:
        fix_data_dir(data)
    assert f"{data}/wav.scp:5: 'a-1' is '/other.wav', but '/n/a-1.wav' before; delete one" in str(error.value)
    assert f"{data}/utt2spk:5: 'b-1' is 'a', but 'b' before; delete one" in str(error.value)
    assert {p.name: p.read_bytes() for p in data.iterdir()} == before


def test_lengths_that_are_incomplete_are_removed_not_followed(data):
    put(data, "utt2dur", "a-1 1.0\n")
    said = []
    fix_data_dir(data, said.append)
    assert list(DataDir(data).utts) == UTTS
    assert not (data / "utt2dur").exists()
    assert (data / ".backup" / "utt2dur").exists()
    assert any("utt2dur: removed" in line for line in said)


def test_nothing_in_common(data):
    put(data, "text", "z-1 X\n")
    before = {p.name: p.read_bytes() for p in data.iterdir()}
    with pytest.raises(DataError, match=r"no utterance would remain \(4 not in text\); nothing was changed"):
        fix_data_dir(data)
    assert {p.name: p.read_bytes() for p in data.iterdir()} == before


def test_recordings_without_segments_go(data):
    put(data, "segments", "a-1 r1 0 1\na-2 r3 1 2\nb-1 r2 0 -1\nb-2 r2 1 2.5\n")
    put(data, "wav.scp", "r1 x\nr2 x\nr9 x\n")
    put(data, "noise1.scp", "r1 x\nr2 x\nr3 x\n")
    put(data, "reco2dur", "r1 5\nr2 5\nr3 5\nr9 5\n")
    fix_data_dir(data, lambda line: None)
    assert problems(data) == []
    assert list(DataDir(data).utts) == ["a-1", "b-1", "b-2"]
    for name in ("wav.scp", "noise1.scp", "reco2dur"):
        assert list(read_scp(data / name)) == ["r1", "r2"]


# Lists of a directory that are not about its utterances, as ESPnet's recipes have them
OTHERS = {
    "noises.scp": "n2 /noise/2.wav\nn1 /noise/1.wav\n",  # any order
    "rirs.scp": "rir1 /rir/1.wav\nrir1 /rir/2.wav\n",  # two lines of one key
    "spk2enroll.json": '{"x": [["u", "/e.wav"]],\n "x y": []}\n',
    "spk2age": "z 31\ny 40\n",  # speakers of other data
    "notes": "any text\n\n\ta-1\n",
}


def test_lists_of_something_else_are_left_alone(data):
    for name, content in OTHERS.items():
        put(data, name, content)
    put(data, "text", "a-1 ONE\nb-1 THREE\n")
    put(data, "enroll_spk1.scp", "".join(f"{utt} *{utt} a\n" for utt in [*UTTS, "c-9"]))
    put(data, "far.list", "b-1\n")  # of ids alone, and of few of them: follows, and decides nothing
    said = []
    assert fix_data_dir(data, said.append, extra_utt_files=["noises.scp", "spk1.scp", "none.scp"])
    assert f"{data}: noises.scp: not keyed by utterance: left unchanged" in said
    assert problems(data, extra_utt_files=frozenset({"noises.scp", "enroll_spk1.scp"})) == []
    assert list(DataDir(data).utts) == ["a-1", "b-1"]
    assert {name: (data / name).read_text() for name in OTHERS} == OTHERS
    assert (data / "enroll_spk1.scp").read_text() == "a-1 *a-1 a\nb-1 *b-1 a\n"
    assert (data / "far.list").read_text() == "b-1\n"


def test_a_list_decides_when_it_is_named(data):
    put(data, "far.scp", "a-1 x\nb-1 x\n")
    assert problems(data) == []
    assert len(problems(data, extra_utt_files=frozenset({"far.scp"}))) == 2
    assert not fix_data_dir(data, lambda line: None)
    assert fix_data_dir(data, lambda line: None, extra_utt_files=["far.scp"])
    assert list(DataDir(data).utts) == ["a-1", "b-1"]


def test_a_byte_order_mark_is_told_and_taken_away(data):
    put(data, "text", "\ufeff" + FILES["text"])
    assert problems(data) == [f"text: byte-order mark, which others take for a part of an id; {FIX}"]
    assert fix_data_dir(data, lambda line: None)
    assert (data / "text").read_text() == FILES["text"]
    assert (data / "wav.scp").read_text() == FILES["wav.scp"]


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system than tmp_path."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or folder.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to write to")
    with tempfile.TemporaryDirectory(dir=folder) as there:
        yield Path(there)


def test_a_directory_behind_a_link_to_another_file_system(data, tmp_path, elsewhere):
    shutil.copytree(data, elsewhere / "data")
    link = tmp_path / "link"
    link.symlink_to(elsewhere / "data")
    put(link, "text", "b-1 THREE\na-1 ONE\na-2\nb-2 FOUR\n")
    assert fix_data_dir(link, lambda line: None)
    assert (elsewhere / "data/text").read_text() == FILES["text"]
    write_data_dirs([link], [("utt2spk", [{"c": "c"}])])
    assert {p.name for p in link.iterdir()} == {".backup", "utt2spk", "spk2utt"}
    assert (link / ".backup/text").read_text() == FILES["text"]


def test_what_fails_moves_nothing(data):
    before = {p.name: p.read_text() for p in data.iterdir()}
    with pytest.raises(ZeroDivisionError):
        write_data_dirs([data], ((name, [1 / 0]) for name in ["utt2spk"]))
    assert {p.name: p.read_text() for p in data.iterdir()} == before
