"""DEMAND's layout: environments, microphones, zips, the one at 48 kHz; the parts of the recordings."""

import io
import zipfile

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.corpora import demand
from espnet_posinv.corpora.demand import (
    INDOOR,
    OUTDOOR,
    Recording,
    find_recording,
    read_recording,
    write_noises,
)
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.perturb.random_noise import read_noises

RATE = 16000


def tone(channel, rate=RATE, seconds=1.0):
    """A microphone can be told by its frequency."""
    return 0.3 * np.sin(2 * np.pi * 100 * channel * np.arange(round(seconds * rate)) / rate)


def wav(channel, rate=RATE, samples=None):
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(channel, rate) if samples is None else samples, rate, format="WAV")
    return buffer.getvalue()


def put(root, environment, rate=RATE):
    (root / environment).mkdir(parents=True)
    for channel in range(1, 17):
        (root / environment / f"ch{channel:02d}.wav").write_bytes(wav(channel, rate))


def put_zip(root, environment, name, rate=RATE, channels=range(1, 17)):
    root.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(root / name, "w") as archive:
        for channel in channels:
            archive.writestr(f"{environment}/ch{channel:02d}.wav", wav(channel, rate))


def frequency(x):
    return np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * RATE / len(x)


def test_environments_are_those_of_the_corpus():
    assert len(INDOOR) == 12 and len(OUTDOOR) == 6
    assert {name[0] for name in OUTDOOR} == {"N", "S"}
    assert all(len(md5) == 32 and size > 5e7 for md5, size in demand.ENVIRONMENTS.values())
    assert demand.zip_name("SCAFE") == "SCAFE_48k.zip" and demand.zip_name("TBUS") == "TBUS_16k.zip"


@pytest.mark.parametrize("root", ["", "DEMAND", "TBUS_16k", "DEMAND/TBUS_16k"])
def test_folders(tmp_path, root):
    put(tmp_path / root, "TBUS")
    for channel in (1, 16):
        found = find_recording("TBUS", tmp_path, tmp_path / "d", channel=channel)
        assert found == Recording(tmp_path / root / f"TBUS/ch{channel:02d}.wav")
        assert frequency(read_recording(found)) == 100 * channel


def test_zips_are_read_where_they_are(tmp_path):
    put_zip(tmp_path, "TBUS", "TBUS_16k.zip")
    found = find_recording("TBUS", tmp_path, tmp_path / "d", channel=3)
    assert found == Recording(tmp_path / "TBUS_16k.zip", "TBUS/ch03.wav")
    assert frequency(read_recording(found)) == 300
    assert [p.name for p in tmp_path.iterdir()] == ["TBUS_16k.zip"]


def test_48_khz_are_resampled(tmp_path):
    put_zip(tmp_path, "SCAFE", "SCAFE_48k.zip", rate=48000)
    put(tmp_path, "TBUS", rate=48000)
    for environment in ("SCAFE", "TBUS"):
        x = read_recording(find_recording(environment, tmp_path, tmp_path / "d", channel=2))
        assert len(x) == RATE and x.dtype == np.float32
        np.testing.assert_allclose(x[1000:-1000], tone(2)[1000:-1000], atol=1e-3)


def test_fetched_when_nobody_has_it(tmp_path, monkeypatch):
    asked = []

    def download(urls, target, md5, say):
        asked.append((urls, md5))
        put_zip(target.parent, "TBUS", target.name)
        return target

    monkeypatch.setattr(demand, "download", download)
    found = find_recording("TBUS", None, tmp_path / "d", say=str)
    assert frequency(read_recording(found)) == 100
    assert asked == [([s.format("TBUS_16k.zip") for s in demand.SOURCES], INDOOR["TBUS"][0])]
    assert find_recording("TBUS", None, tmp_path / "d", say=str) == found and len(asked) == 1


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(DataError, match=r"neither TBUS/ch01\.wav, .*correct DEMAND in db\.sh"):
        find_recording("TBUS", tmp_path, tmp_path)
    put(tmp_path / "holed", "TBUS")
    (tmp_path / "holed/TBUS/ch07.wav").unlink()
    with pytest.raises(DataError, match=r"holed: neither TBUS/ch07\.wav, .*correct DEMAND in db\.sh"):
        find_recording("TBUS", tmp_path / "holed", tmp_path, channel=7)
    with pytest.raises(DataError, match="no environment 'BUS'; there are DKITCHEN"):
        find_recording("BUS", tmp_path, tmp_path)
    with pytest.raises(DataError, match="microphones 1 to 16, not 17"):
        find_recording("TBUS", tmp_path, tmp_path, channel=17)
    put_zip(tmp_path, "TBUS", "TBUS_16k.zip", channels=[1])
    with pytest.raises(DataError, match=r"TBUS_16k\.zip: no TBUS/ch02\.wav in it"):
        read_recording(find_recording("TBUS", tmp_path, tmp_path, channel=2))
    (tmp_path / "TCAR_16k.zip").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"TCAR_16k\.zip:TCAR/ch01\.wav: cannot be read .*fetch it again"):
        read_recording(find_recording("TCAR", tmp_path, tmp_path))
    (tmp_path / "stereo.wav").write_bytes(wav(1, samples=np.zeros((100, 2))))
    with pytest.raises(DataError, match=r"stereo\.wav: 2 channels, need one"):
        read_recording(Recording(tmp_path / "stereo.wav"))
    (tmp_path / "slow.wav").write_bytes(wav(1, rate=8000))
    with pytest.raises(DataError, match=r"slow\.wav: 8000 Hz; DEMAND has 16000 or 48000 Hz: fetch"):
        read_recording(Recording(tmp_path / "slow.wav"))


def test_parts_share_no_sample(tmp_path):
    ramp = (np.arange(1000) / 1000).astype(np.float32)
    (tmp_path / "ramp.wav").write_bytes(wav(1, samples=ramp))
    asked = []

    def find(environment):
        asked.append(environment)
        return Recording(tmp_path / "ramp.wav")

    minutes = write_noises(find, tmp_path / "noise")
    assert minutes["unseen"] == pytest.approx(6 * 1000 / RATE / 60)
    parts = {p: read_noises(tmp_path / f"noise/{p}.scp") for p in ("train", "valid", "seen", "unseen")}
    assert {p: len(x["TBUS"]) for p, x in parts.items() if p != "unseen"} == {
        "train": 600,
        "valid": 100,
        "seen": 300,
    }
    whole = np.concatenate([parts[p]["TBUS"] for p in ("train", "valid", "seen")])
    np.testing.assert_allclose(whole, ramp, atol=1e-4)
    assert set(parts["train"]) == set(INDOOR) and set(parts["unseen"]) == set(OUTDOOR)
    before = len(asked)
    write_noises(find, tmp_path / "noise")
    assert len(asked) == before  # what is there is kept
    assert list(read_scp(tmp_path / "noise/seen.scp")) == sorted(INDOOR)


def test_noises_of_another_recording_are_cut_again(tmp_path):
    for root, louder in (("one", 1), ("two", 2)):
        for environment in demand.ENVIRONMENTS:
            put(tmp_path / root, environment)
        (tmp_path / root / "TBUS/ch01.wav").write_bytes(wav(1, samples=tone(1) * louder))
    main = command("data", "demand")

    def cut(root, channel=1):
        """The first sample that is not zero of two noises, after a change."""
        assert main(["--demand", str(root), "--channel", str(channel), str(tmp_path / "noise")]) == 0
        noises = read_noises(tmp_path / "noise/train.scp")
        return [round(float(noises[name][1]), 3) for name in ("TBUS", "TCAR")]

    one = [round(float(tone(1)[1]), 3)] * 2
    assert cut(tmp_path / "one") == one
    kept = (tmp_path / "noise/train/TCAR.wav").stat().st_mtime_ns
    assert cut(tmp_path / "one") == one and (tmp_path / "noise/train/TCAR.wav").stat().st_mtime_ns == kept
    assert cut(tmp_path / "two") == [pytest.approx(2 * one[0], abs=0.001), one[1]]
    (tmp_path / "two/TBUS/ch01.wav").write_bytes(wav(1))  # in place, of the same size
    assert cut(tmp_path / "two") == one
    assert cut(tmp_path / "two", channel=4) == [round(float(tone(4)[1]), 3)] * 2


def test_command(tmp_path, capsys):
    for environment in demand.ENVIRONMENTS:
        put(tmp_path / "own", environment)
    assert command("data", "demand")(["--demand", str(tmp_path / "own"), str(tmp_path / "noise")]) == 0
    assert "train 0.1 min" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"correct DEMAND in db.sh"):
        command("data", "demand")(["--demand", str(tmp_path), str(tmp_path / "other")])
