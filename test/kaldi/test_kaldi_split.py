"""Dividing lists and data directories."""

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet_posinv.kaldi import DataDir, DataError, read_scp, split_data_dir, write_data_dirs
from espnet_posinv.kaldi.split import even_bounds, group_bounds, parts_of


@given(st.integers(1, 200), st.data())
def test_even_parts(count, data):
    parts = data.draw(st.integers(1, count))
    bounds = even_bounds(count, parts)
    sizes = [b - a for a, b in itertools.pairwise(bounds)]
    assert bounds[0] == 0 and bounds[-1] == count and len(sizes) == parts
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.data())
def test_groups_stay_whole_and_no_part_is_empty(sizes, data):
    parts = data.draw(st.integers(1, len(sizes)))
    bounds = group_bounds(sizes, parts)
    assert bounds[0] == 0 and bounds[-1] == len(sizes) and len(bounds) == parts + 1
    assert all(a < b for a, b in itertools.pairwise(bounds))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.data())
def test_each_cut_is_the_nearest_boundary_that_can_be_had(sizes, data):
    """Brute force: given the cuts before it, no other allowed boundary is nearer to its share."""
    parts = data.draw(st.integers(1, len(sizes)))
    bounds = group_bounds(sizes, parts)
    ends = [0, *itertools.accumulate(sizes)]
    for k in range(1, parts):
        allowed = range(bounds[k - 1] + 1, len(sizes) - (parts - k) + 1)
        ideal = ends[-1] * k / parts
        assert abs(ends[bounds[k]] - ideal) == min(abs(ends[b] - ideal) for b in allowed)


@pytest.mark.parametrize("parts", [0, 4])
def test_too_many_parts(parts):
    with pytest.raises(DataError, match="between 1 and 3"):
        even_bounds(3, parts)
    with pytest.raises(DataError, match="between 1 and 3 parts, or split per utterance"):
        group_bounds([5, 5, 5], parts)


def test_speakers_that_do_not_stand_together_are_kept_together():
    part = parts_of({"1": "a", "2": "b", "3": "a", "4": "c"}, 3)
    assert part == {"1": 0, "3": 0, "2": 1, "4": 2}


@pytest.fixture
def data(tmp_path):
    """Three speakers, two recordings of the first; audio by recording, spk1.scp by utterance."""
    utt2spk = {f"{spk}-{k}": spk for spk in "abc" for k in range(4)}
    segments = {utt: f"{utt[0]}rec{int(utt[2]) // 2} {int(utt[2])} {int(utt[2]) + 1}" for utt in utt2spk}
    recos = {value.split()[0] for value in segments.values()}
    tables = {
        "utt2spk": utt2spk,
        "segments": segments,
        "wav.scp": {reco: f"/audio/{reco}.wav" for reco in recos},
        "noise1.scp": {reco: f"/noise/{reco}.wav" for reco in recos},
        "spk1.scp": {utt: f"/clean/{utt}.wav" for utt in utt2spk},
        "text": {utt: "" if utt == "b-1" else f"W{utt}" for utt in utt2spk},
        "text_spk1": {utt: f"S{utt}" for utt in utt2spk},
        "utt2category": dict.fromkeys(utt2spk, "1ch"),
        "utt2num_samples": dict.fromkeys(utt2spk, "16000"),
        "reco2dur": dict.fromkeys(recos, "4"),
        "spk2gender": {"a": "m", "b": "f", "c": "f"},
        "cmvn.scp": {"a": "c:1", "b": "c:2", "c": "c:3"},
        "vad.scp": {utt: f"v:{utt}" for utt in utt2spk},
    }
    write_data_dirs([tmp_path / "data"], ((name, [table]) for name, table in tables.items()))
    (tmp_path / "data" / "feats_type").write_text("raw\n")
    return DataDir(tmp_path / "data")


@pytest.mark.parametrize(("per_utt", "count"), [(False, 3), (True, 5)])
def test_every_entry_goes_with_its_utterances(data, per_utt, count):
    """Five parts cut through speakers and recordings: their entries belong to several parts."""
    targets = split_data_dir(data, count, per_utt=per_utt)
    assert [t.name for t in targets] == list("12345"[:count])
    assert targets[0].parent.name == ("split5utt" if per_utt else "split3")
    parts = [DataDir(target) for target in targets]
    for name in data.names:
        if name == "spk2utt":
            continue
        whole, tables = data.read(name), [part.read(name) for part in parts]
        assert {key: value for table in tables for key, value in table.items()} == whole, name
        for part, table in zip(parts, tables, strict=True):
            keyed = data.keyed_by(name, whole)
            ids = {
                "utt": set(part.utts),
                "spk": set(part.utt2spk.values()),
                "reco": {part.reco_of(utt) for utt in part.utts},
            }[keyed]
            assert set(table) == ids, name
    assert all((t / "feats_type").read_text() == "raw\n" for t in targets)
    if not per_utt:
        assert [set(part.utt2spk.values()) for part in parts] == [{"a"}, {"b"}, {"c"}]


def test_an_up_to_date_split_is_left_alone(data):
    target = split_data_dir(data, 3)[1]
    before = (target / "text").stat().st_mtime_ns
    split_data_dir(data, 3)
    assert (target / "text").stat().st_mtime_ns == before
    later = before + 10**9
    os.utime(data.path / "spk1.scp", ns=(later, later))
    split_data_dir(data, 3)
    assert (target / "text").stat().st_mtime_ns != before


def test_a_missing_part_is_made_again(data):
    target = split_data_dir(data, 2)[1]
    (target / "spk1.scp").unlink()
    split_data_dir(data, 2)
    assert read_scp(target / "spk1.scp")


def test_an_utterance_without_segment(data):
    lines = (data.path / "segments").read_text().splitlines()
    (data.path / "segments").write_text("\n".join(lines[1:]) + "\n")
    with pytest.raises(DataError, match="segments: no 'a-0' of utt2spk"):
        split_data_dir(DataDir(data.path), 2)


def test_lists_of_something_else_go_into_every_part(data):
    (data.path / "noises.scp").write_text("n2 /n/2.wav\nn1 /n/1.wav\n")
    (data.path / "spk2enroll.json").write_text('{"x": [["a-0", "/e.wav"]]}\n')
    (data.path / "enroll_spk1.scp").write_text("".join(f"{utt} /e/{utt}.wav\n" for utt in data.utts))
    whole = DataDir(data.path)
    parts = [DataDir(part) for part in split_data_dir(whole, 2)]
    for name in ("noises.scp", "spk2enroll.json"):
        assert [(part.path / name).read_bytes() for part in parts] == [(data.path / name).read_bytes()] * 2
    for part in parts:
        assert list(part.read("enroll_spk1.scp")) == list(part.utts)


def test_an_interrupted_write_leaves_the_old_directory(data, tmp_path):
    def tables():
        yield "utt2spk", [{"z": "z"}]
        raise RuntimeError

    before = {p.name: p.read_bytes() for p in data.path.iterdir()}
    with pytest.raises(RuntimeError):
        write_data_dirs([data.path], tables())
    assert {p.name: p.read_bytes() for p in data.path.iterdir()} == before


def test_a_new_directory_appears_whole(tmp_path, monkeypatch):
    def fail(self, target):
        raise OSError

    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr("espnet_posinv.kaldi.scp.Path.replace", lambda self, target: os.replace(self, target))
        tables = iter([("utt2spk", [{"z": "z"}])])

        def last(pairs):
            yield from pairs
            patch.setattr("espnet_posinv.kaldi.scp.Path.replace", fail)

        write_data_dirs([tmp_path / "new"], last(tables))
    assert list(tmp_path.iterdir()) == []


def test_files_of_an_older_directory_do_not_stay(data):
    write_data_dirs([data.path], [("utt2spk", [{"z": "z"}])])
    assert sorted(p.name for p in data.path.iterdir() if p.is_file()) == ["feats_type", "spk2utt", "utt2spk"]
    assert (data.path / ".backup" / "spk1.scp").exists()
