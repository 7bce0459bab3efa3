"""Noise recordings: several a kind, of any rate, in a list or in folders."""

import numpy as np
import pytest
import soundfile

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.perturb.random_noise import read_noises


def test_several_recordings_a_kind_at_any_rate_between_tabs_or_blanks(tmp_path):
    paths = {}
    for name, rate in (("a", 16000), ("b", 8000), ("c", 44100)):
        paths[name] = tmp_path / f"{name} x.wav"
        soundfile.write(paths[name], 0.1 * np.random.default_rng(0).standard_normal(rate), rate)
    (tmp_path / "noise.scp").write_text(f"k1\t{paths['a']}\nk1 {paths['b']}\n\nk2   {paths['c']}\n")
    found = read_noises(tmp_path / "noise.scp")
    assert {kind: len(samples) for kind, samples in found.items()} == {"k1": 32000, "k2": 16000}
    np.testing.assert_allclose(found["k1"][:16000], soundfile.read(paths["a"])[0], atol=1e-7)


def test_a_folder_of_kinds(tmp_path):
    for name in ("traffic/1.wav", "traffic/deep/2.flac", "fan.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            tmp_path / name, np.outer(np.ones(100), [0.1, 0.3]), 16000
        )  # of two channels the first
    (tmp_path / ".hidden.wav").write_text("x")
    assert {kind: len(samples) for kind, samples in read_noises(tmp_path).items()} == {
        "fan": 100,
        "traffic": 200,
    }


def test_a_kind_without_recordings_is_named(tmp_path):
    for name in ("traffic", "rain"):
        (tmp_path / name).mkdir()
    soundfile.write(tmp_path / "traffic/1.wav", np.ones(100), 16000)
    with pytest.raises(DataError, match=r"rain: .*/rain: no recording in it$"):
        read_noises(tmp_path)


def test_missing_and_empty_noises_are_all_named(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "noise.scp").write_text(f"k1 {tmp_path}/gone.wav\nk2 {tmp_path}/empty.wav\nk3\n")
    with pytest.raises(DataError) as error:
        read_noises(tmp_path / "noise.scp")
    said = str(error.value)
    for part in ("k1: ", "gone.wav: no such file", "empty.wav: empty", "'k3' has no path"):
        assert part in said
    (tmp_path / "noise.scp").write_text("\n")
    with pytest.raises(DataError, match="no noise in it"):
        read_noises(tmp_path / "noise.scp")
