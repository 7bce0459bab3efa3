"""Formatting all signals of a data directory."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.kaldi import DataDir, DataError, check_data_dir, write_data_dirs
from espnet_posinv.kaldi.check_audio import check_audio
from espnet_posinv.kaldi.format_dir import format_data_dir

main = command("data", "format-data-dir")

RATE = 8000


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Two recordings with three segments; spk1.scp by recording, spk2.scp by utterance."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("r1", "r2", "c1", "c2"):
        soundfile.write(f"{name}.wav", rng.integers(-(2**15), 2**15, 2 * RATE).astype(np.int16), RATE)
    for utt in "xyz":
        soundfile.write(f"{utt}.wav", rng.integers(-(2**15), 2**15, RATE // 2).astype(np.int16), RATE)
    tables = {
        "utt2spk": {"x": "s", "y": "s", "z": "t"},
        "segments": {"x": "r1 0 0.5", "y": "r1 1.5 -1", "z": "r2 0.25 0.75"},
        "wav.scp": {"r1": "r1.wav", "r2": "cat r2.wav |"},
        "spk1.scp": {"r1": "c1.wav", "r2": "c2.wav"},
        "spk2.scp": {utt: f"{utt}.wav" for utt in "xyz"},
        "text": {"x": "X", "y": "", "z": "Z"},
        "spk2gender": {"s": "m", "t": "f"},
        "utt2dur": dict.fromkeys("xyz", "0.5"),
        "utt2fs": dict.fromkeys("xyz", str(RATE)),
        "reco2dur": {"r1": "2", "r2": "2"},
        "utt2num_samples": dict.fromkeys("xyz", str(RATE // 2)),
    }
    write_data_dirs(["data"], ((name, [table]) for name, table in tables.items()))
    return DataDir("data")


def read(path):
    return soundfile.read(path, dtype="int16")[0]


def test_signals_are_cut_alike(data):
    format_data_dir(data, "dump", jobs=1)
    dump = DataDir("dump")
    assert not dump.segmented and "reco2dur" not in dump.names
    for name in ("utt2spk", "spk2utt", "text", "spk2gender", "utt2dur", "utt2num_samples", "utt2fs"):
        assert dump.read(name) == data.read(name), name
    cuts = {"x": slice(0, 4000), "y": slice(12000, 16000), "z": slice(2000, 6000)}
    for name, source in (("wav.scp", "r"), ("spk1.scp", "c")):
        for utt, path in dump.read(name).items():
            whole = read(f"{source}{data.reco_of(utt)[1]}.wav")
            np.testing.assert_array_equal(read(path), whole[cuts[utt]])
    assert dump.read("spk2.scp") == data.read("spk2.scp")  # already as wanted: used where they are
    assert list(check_data_dir("dump")) == list(check_audio("dump", rate=RATE, channels=1)) == []


def test_another_rate(data, capsys):
    assert main(["--fs", "16k", "--audio-format", "flac", "--nj", "2", "data", "dump"]) == 0
    dump = DataDir("dump")
    assert set(dump.read("utt2fs").values()) == {"16000"}
    assert set(dump.read("utt2num_samples").values()) == {"8000"}
    assert list(check_data_dir("dump")) == list(check_audio("dump", rate=16000, channels=1)) == []
    assert "3 utterances, 3 of them made now" in capsys.readouterr().out
    assert main(["--fs", "16k", "--audio-format", "flac", "data", "dump"]) == 0
    assert "3 utterances, 0 of them made now" in capsys.readouterr().out


def test_a_reference_of_another_length_is_refused(data):
    soundfile.write("y.wav", read("y.wav")[:-1], RATE)
    with pytest.raises(
        DataError,
        match=r"spk2\.scp: 1 utterances are not as long as in wav\.scp, like 'y' with 3999 and 4000 samples",
    ):
        format_data_dir(data, "dump", jobs=1)
    assert not Path("dump/wav.scp").exists()


def test_a_missing_reference_is_refused(data):
    Path("data/spk2.scp").write_text("x x.wav\nz z.wav\n")
    with pytest.raises(DataError, match=r"spk2\.scp: lacks 1 utterances, like 'y'"):
        format_data_dir(data, "dump", jobs=1)


def test_nothing_to_format(data):
    Path("data/wav.scp").unlink()
    with pytest.raises(SystemExit, match=r"data/wav.scp: no such file"):
        main(["data", "dump"])


def test_jobs_of_a_launcher_make_the_same(data, capsys):
    format_data_dir(data, "dump", rate=4000, jobs=1)
    launcher = Path(__file__).parents[2] / "utils/run.pl"
    assert main(["data", "jobs", "--fs", "4k", "--nj", "2", "--cmd", f"{launcher} --mem 100M"]) == 0
    assert "jobs/wav.scp: 3 utterances, logs in jobs/logs" in capsys.readouterr().out
    expected, made = DataDir("dump"), DataDir("jobs")
    assert made.names == expected.names
    for name in made.names:
        if name.endswith(".scp"):
            for utt, path in made.read(name).items():
                assert path.startswith(f"jobs/data/{name.removesuffix('.scp')}/")
                np.testing.assert_array_equal(read(path), read(expected.read(name)[utt]))
        else:
            assert made.read(name) == expected.read(name), name
    logs = [Path(f"jobs/logs/{name}/format_wav_scp.2.log").read_text() for name in ("wav", "spk1", "spk2")]
    assert all("# Ended (code 0)" in log for log in logs)


def test_a_failed_job_of_a_launcher_is_named(data, capfd):
    Path("c2.wav").write_bytes(b"RIFF")
    launcher = Path(__file__).parents[2] / "utils/run.pl"
    failed = r"formatting failed, see above and jobs/logs/spk1/format_wav_scp\.\*\.log"
    with pytest.raises(SystemExit, match=failed):
        main(["data", "jobs", "--nj", "2", "--cmd", str(launcher)])
    message = capfd.readouterr().err
    assert "run.pl: 1 / 2 failed" in message and "c2.wav" in message
    assert not Path("jobs/utt2spk").exists()
