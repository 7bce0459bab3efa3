"""Subsets, combinations, copies with other ids and speed-perturbed copies."""

import pytest

from espnet_posinv.kaldi import DataDir, DataError, check_data_dir, write_data_dirs
from espnet_posinv.kaldi import subset as sub
from espnet_posinv.kaldi.check import Needs
from espnet_posinv.kaldi.combine import combined
from espnet_posinv.kaldi.rename import affix, renamed
from espnet_posinv.kaldi.speed import speed_perturbed


def make(path, utts, **more):
    """A directory of utterances like a-1 of speaker a."""
    tables = {
        "utt2spk": {utt: utt.split("-")[0] for utt in utts},
        "wav.scp": {utt: f"/n/{utt}.wav" for utt in utts},
        "spk1.scp": {utt: f"/c/{utt}.wav" for utt in utts},
        "text": {utt: f"WORD {utt}" for utt in utts},
        **more,
    }
    write_data_dirs([path], ((name, [table]) for name, table in tables.items()))
    return DataDir(path)


def write(path, tables):
    write_data_dirs([path], ((name, [table]) for name, table in tables))
    result = DataDir(path)
    assert list(check_data_dir(path, Needs(text=False))) == []
    return result


UTTS = [f"{spk}-{k}" for spk in "abc" for k in range(5)]


@pytest.fixture
def data(tmp_path):
    lengths = {utt: str(30 - k) for k, utt in enumerate(UTTS)}
    return make(tmp_path / "data", UTTS, utt2dur=lengths, reco2dur=lengths)


def test_choices(data):
    assert sub.first(data, 2) == ["a-0", "a-1"]
    assert sub.last(data, 2) == ["c-3", "c-4"]
    assert sub.shortest(data, 2) == ["c-4", "c-3"]
    # As Kaldi's subset_scp.pl: half of them, rounded down, from the first half, and so on in each half
    assert sub.spread(data, 1) == ["c-4"]
    assert sub.spread(data, 3) == ["b-1", "c-0", "c-4"]
    assert sub.spread(data, 15) == UTTS
    assert sub.per_speaker(data, 2) == ["a-0", "a-2", "b-0", "b-2", "c-0", "c-2"]
    assert sub.per_speaker(data, 99) == UTTS
    assert sub.of_utterances(data, ["b-3", "a-1", "none"]) == ["a-1", "b-3"]
    assert sub.of_speakers(data, ["c"]) == [f"c-{k}" for k in range(5)]


def test_whole_speakers_are_drawn(data):
    chosen = sub.speakers(data, 7)
    assert len(chosen) == 10 and chosen == sub.speakers(data, 7)
    drawn = {frozenset(utt[0] for utt in sub.speakers(data, 7, seed=seed)) for seed in range(20)}
    assert drawn == {frozenset("ab"), frozenset("ac"), frozenset("bc")}


@pytest.mark.parametrize("count", [0, 16])
def test_more_than_there_are(data, count):
    for choose in (sub.first, sub.last, sub.spread, sub.shortest, sub.speakers):
        with pytest.raises(DataError, match=f"cannot choose {count} of 15"):
            choose(data, count)


def test_the_shortest_need_lengths(tmp_path):
    with pytest.raises(DataError, match="no file has the lengths"):
        sub.shortest(make(tmp_path / "data", UTTS), 2)
    counts = {utt: str(9 + k) for k, utt in enumerate(UTTS)}  # 9 < 10 as numbers
    assert sub.shortest(make(tmp_path / "d", UTTS, utt2num_samples=counts), 2) == UTTS[:2]


def test_copy_with_other_ids(data, tmp_path):
    copy = write(tmp_path / "copy", renamed(data, utt=affix("x-", "-y"), spk=affix("x-")))
    assert copy.utt2spk == {f"x-{utt}-y": f"x-{utt[0]}" for utt in UTTS}
    for name in ("wav.scp", "spk1.scp", "text", "utt2dur", "reco2dur"):
        assert copy.read(name) == {f"x-{key}-y": value for key, value in data.read(name).items()}
    assert copy.read("spk2utt")["x-b"].split() == [f"x-b-{k}-y" for k in range(5)]


def test_recordings_keep_their_names_in_a_copy(tmp_path):
    data = make(tmp_path / "data", ["a-1", "a-2"], **SEGMENTED)
    copy = write(tmp_path / "copy", renamed(data, utt=affix("x-")))
    assert copy.read("wav.scp") == SEGMENTED["wav.scp"]
    assert copy.read("segments") == {"x-a-1": "r 0 1.5", "x-a-2": "r 1.5 -1"}


def test_ids_that_become_one(data):
    with pytest.raises(DataError, match="distinct"):
        list(renamed(data, utt=lambda utt: utt[0]))


SEGMENTED = {
    "segments": {"a-1": "r 0 1.5", "a-2": "r 1.5 -1"},
    "wav.scp": {"r": "/n/r.flac"},
    "spk1.scp": {"r": "/c/r.flac"},
    "reco2dur": {"r": "9"},
}


def test_combine(tmp_path, capsys):
    one = make(
        tmp_path / "one",
        ["a-1", "b-1"],
        utt2dur={"a-1": "1", "b-1": "1"},
        utt2uniq={"a-1": "q", "b-1": "b-1"},
    )
    two = make(tmp_path / "two", ["a-2", "c-1"])
    both = write(tmp_path / "both", combined([one, two]))
    assert list(both.utts) == ["a-1", "a-2", "b-1", "c-1"]
    for name in ("wav.scp", "spk1.scp", "text"):
        assert both.read(name) == one.read(name) | two.read(name)
    assert both.read("spk2utt")["a"] == "a-1 a-2"
    assert both.read("utt2uniq") == {"a-1": "q", "a-2": "a-2", "b-1": "b-1", "c-1": "c-1"}
    assert "utt2dur" not in both.names
    assert f"utt2dur is left out, since {two.path} has none" in capsys.readouterr().err


def test_combine_with_and_without_segments(tmp_path):
    one = make(tmp_path / "one", ["a-1", "a-2"], **SEGMENTED)
    two = make(tmp_path / "two", ["c-1"])
    both = write(tmp_path / "both", combined([one, two]))
    assert both.read("segments") == SEGMENTED["segments"] | {"c-1": "c-1 0 -1"}
    assert both.read("wav.scp") == {"c-1": "/n/c-1.wav", "r": "/n/r.flac"}


def test_combine_refuses_what_conflicts(tmp_path):
    one, two = make(tmp_path / "one", ["a-1"]), make(tmp_path / "two", ["a-1"])
    assert dict(combined([one, two]))["wav.scp"] == {"a-1": "/n/a-1.wav"}
    three = make(tmp_path / "three", ["a-1"], **{"wav.scp": {"a-1": "/other.wav"}})
    with pytest.raises(DataError, match=r"three/wav.scp: 'a-1' is '/other.wav'.*\n.*--utt-prefix"):
        list(combined([one, three]))


def test_speed(data, tmp_path):
    fast = write(tmp_path / "fast", speed_perturbed(data, 1.25))
    assert fast.utt2spk == {f"sp1.25-{utt}": f"sp1.25-{utt[0]}" for utt in UTTS}
    assert fast.read("utt2uniq") == {f"sp1.25-{utt}": utt for utt in UTTS}
    for name, folder in (("wav.scp", "n"), ("spk1.scp", "c")):  # noisy and clean alike
        assert fast.read(name)["sp1.25-b-2"] == f"sox /{folder}/b-2.wav -t wav - speed 1.25 |"
    assert float(fast.read("utt2dur")["sp1.25-a-0"]) == 30 / 1.25


def test_speed_of_segments_and_pipes(tmp_path):
    data = make(tmp_path / "data", ["a-1", "a-2"], **(SEGMENTED | {"wav.scp": {"r": "flac -d -c r.flac |"}}))
    slow = write(tmp_path / "slow", speed_perturbed(data, 0.9))
    assert slow.read("wav.scp") == {"sp0.9-r": "flac -d -c r.flac | sox -t wav - -t wav - speed 0.9 |"}
    assert slow.read("segments") == {"sp0.9-a-1": "sp0.9-r 0.0000 1.6667", "sp0.9-a-2": "sp0.9-r 1.6667 -1"}
    assert slow.read("reco2dur") == {"sp0.9-r": "10"}


def test_malformed_lengths_are_named(tmp_path):
    data = make(tmp_path / "data", ["a-1", "a-2"], utt2dur={"a-1": "1", "a-2": "x"})
    for use in (lambda: sub.shortest(data, 1), lambda: list(speed_perturbed(data, 2))):
        with pytest.raises(DataError, match=r"utt2dur:2: 'a-2': not a number above 0: 'x'"):
            use()
    cut = make(tmp_path / "cut", ["a-1", "a-2"], **(SEGMENTED | {"segments": {"a-1": "r 0 1", "a-2": "r 1"}}))
    with pytest.raises(DataError, match="segments:2: expected 'utt reco start end'"):
        list(speed_perturbed(cut, 2))


def test_speed_refuses(data, tmp_path):
    for factor in (0, -1.0, float("nan"), float("inf"), 0.912345678):  # the last would be rounded in the pipe
        with pytest.raises(DataError, match=f"speed factor {factor}"):
            list(speed_perturbed(data, factor))
    packed = make(tmp_path / "d", ["a-1"], **{"wav.scp": {"a-1": "w.ark:17"}})
    with pytest.raises(DataError, match=r"wav.scp: sp2-a-1: 'w.ark:17' is in an archive"):
        list(speed_perturbed(packed, 2))
