"""Tempo changes, pitch stays; files, seeds, and a run that goes on."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv import cli
from espnet_posinv.perturb.references import perturb_references
from espnet_posinv.perturb.tempo import Tempo


def vowel(pitch=150, seconds=1.0, rate=16000):
    """Harmonics below 2 kHz under a slow envelope: what a vocoder takes for voice."""
    t = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 2000 // pitch))
    return (0.2 * wave * np.hanning(len(t))).astype(np.float32)


def pitch_of(wav, rate=16000):
    """The lag of the highest autocorrelation, between 60 and 400 Hz, in the middle of the signal."""
    middle = wav[len(wav) // 3 : 2 * len(wav) // 3].astype(np.float64)
    correlation = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    low, high = rate // 400, rate // 60
    return rate / (low + np.argmax(correlation[low:high]))


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
@pytest.mark.parametrize("method", ["sox", "world"])
def test_length_changes_and_pitch_stays(method, factor):
    if method == "sox" and shutil.which("sox") is None:
        pytest.skip("the program sox is not installed")
    wav = vowel()
    out = Tempo((factor,), method).apply(wav, 16000, factor)
    assert len(out) == pytest.approx(len(wav) / factor, rel=0.02)
    assert pitch_of(out) == pytest.approx(pitch_of(wav), rel=0.03)
    # the vocoder makes new phases, and with them new peaks; the power stays
    assert out.dtype == np.float32 and out.std() == pytest.approx(wav.std(), rel=0.1)


def test_factor_one_changes_nothing():
    wav = vowel()
    np.testing.assert_array_equal(Tempo((1.0,), "world").apply(wav, 16000, 1.0), wav)


@pytest.fixture
def data(tmp_path):
    lines = []
    for i in range(12):
        soundfile.write(tmp_path / f"u{i}.wav", vowel(seconds=0.3), 16000)
        lines.append(f"u{i} {tmp_path}/u{i}.wav\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/spk1.scp").write_text("".join(lines))
    return tmp_path / "data"


def table(path):
    return dict(line.split() for line in path.read_text().splitlines())


def test_references_and_their_tables(data, tmp_path):
    command = [str(data), str(tmp_path / "out"), "--method", "world", "--factors", "0.8", "1.25"]
    cli.command("data", "perturb-references")([*command, "--nj", "2"])
    tempo, paths = table(data / "utt2tempo"), table(data / "perturbed_ref1.scp")
    assert set(tempo.values()) == {"0.8", "1.25"} and list(paths) == sorted(f"u{i}" for i in range(12))
    for utt, path in paths.items():
        expected = soundfile.info(data.parent / f"{utt}.wav").frames / float(tempo[utt])
        assert soundfile.info(path).frames == pytest.approx(expected, rel=0.05)
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.wav")}
    next(iter(kept)).unlink()
    cli.command("data", "perturb-references")(command)
    again = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.wav")}
    assert again.keys() == kept.keys() and sum(again[p] != kept[p] for p in kept) == 1
    assert table(data / "utt2tempo") == tempo
    cli.command("data", "perturb-references")(
        [str(data), str(tmp_path / "other"), *command[2:], "--seed", "1"]
    )
    assert table(data / "utt2tempo") != tempo


def test_bad_input_is_named(data, tmp_path):
    with pytest.raises(SystemExit, match=r"spk1\.scp: no such file"):
        cli.command("data", "perturb-references")([str(tmp_path), str(tmp_path / "out")])
    soundfile.write(tmp_path / "u3.wav", np.zeros((800, 2)), 16000)
    with pytest.raises(SystemExit, match=r"u3\.wav: 2 channels, need one"):
        cli.command("data", "perturb-references")([str(data), str(tmp_path / "out"), "--method", "world"])
    with pytest.raises(SystemExit, match="tempo method 'wsola': one of sox, world"):
        cli.command("data", "perturb-references")([str(data), str(tmp_path / "out"), "--method", "wsola"])
    with pytest.raises(SystemExit, match="tempo factors"):
        cli.command("data", "perturb-references")([str(data), str(tmp_path / "out"), "--factors", "0"])


def test_a_reference_that_changed_is_made_again(data, tmp_path):
    tempo = Tempo((0.8,), "world")
    perturb_references(data, tmp_path / "out", tempo)
    path = Path(table(data / "perturbed_ref1.scp")["u3"])
    before = soundfile.info(path).frames
    untouched = Path(table(data / "perturbed_ref1.scp")["u4"]).stat().st_mtime_ns
    wav, rate = soundfile.read(tmp_path / "u3.wav")
    soundfile.write(tmp_path / "u3.wav", wav[: len(wav) // 2], rate)
    perturb_references(data, tmp_path / "out", tempo)
    assert soundfile.info(path).frames == pytest.approx(before / 2, rel=0.02)
    assert Path(table(data / "perturbed_ref1.scp")["u4"]).stat().st_mtime_ns == untouched
