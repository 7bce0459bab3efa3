"""Fixing directories damaged at random: the result is sound, nothing more is dropped than must be."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from espnet_posinv.kaldi import DataDir, check_data_dir, fix_data_dir
from espnet_posinv.kaldi.check import Needs

UTTS = [f"{spk}-{k}" for spk in ("a", "b", "ä", "日") for k in range(3)]
DECIDING = ("utt2spk", "wav.scp", "spk1.scp", "noise1.scp", "text", "utt2category")
DERIVED = ("utt2dur", "utt2num_samples")
VALUE = {"utt2spk": lambda utt: utt[0], "utt2dur": lambda utt: "1.5", "utt2num_samples": lambda utt: "7"}


@st.composite
def damaged_file(draw, name):
    """Lines in any order, some missing, some twice, some foreign, blank lines, DOS ends, no last newline."""
    utts = draw(st.lists(st.sampled_from(UTTS), unique=True, min_size=8))
    lines = [f"{utt}{draw(st.sampled_from((' ', chr(9), '  ')))}{VALUE.get(name, str)(utt)}" for utt in utts]
    lines += draw(st.lists(st.sampled_from(lines), max_size=2))
    if name != "utt2spk":
        lines += draw(st.lists(st.sampled_from(["z-1 1", "a-9 2"]), max_size=1))
    lines += draw(st.lists(st.sampled_from(["", "  "]), max_size=2))
    lines = draw(st.permutations(lines))
    text = draw(st.sampled_from(("\n", "\r\n"))).join(lines) + draw(st.sampled_from(("", "\n")))
    return set(utts), text


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({name: damaged_file(name) for name in DECIDING + DERIVED}))
def test_random_damage(files):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name, (_, text) in files.items():
            (path / name).write_bytes(text.encode())
        expected = set.intersection(*(files[name][0] for name in DECIDING))
        before = {name: (path / name).read_bytes() for name in files}
        said = []
        if not expected:
            try:
                fix_data_dir(path, said.append)
                raise AssertionError("an empty directory was made")
            except ValueError as error:
                assert "no utterance would remain" in str(error)
            assert {name: (path / name).read_bytes() for name in files} == before
            return
        fix_data_dir(path, said.append)
        assert set(DataDir(path).utts) == expected
        assert list(check_data_dir(path, Needs())) == []
        data = DataDir(path)
        for name in data.names:
            if name != "spk2utt":
                assert data.read(name) == {utt: VALUE.get(name, str)(utt) for utt in sorted(expected)}
        for name in DERIVED:
            assert (name in data.names) == (expected <= files[name][0])
        for name, (utts, _) in files.items():
            for utt in utts - expected:
                assert any(f"/{name}: {utt!r} dropped" in line for line in said)
        assert fix_data_dir(path, lambda line: None) is False
        backup = next((path / ".backup").glob("2*"))
        assert {name: (backup / name).read_bytes() for name in files} == before
