"""Fixed mixtures: the same whoever makes them and after a kill; ratio, clipping, short and silent noise."""

import hashlib

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.corpora.mix import mix_data_dir
from espnet_posinv.kaldi.check import check_data_dir
from espnet_posinv.kaldi.scp import DataError, read_scp, write_scp
from espnet_posinv.perturb.noise import active_frames, highpass

RATE = 16000


def speechlike(seconds, seed, level=0.1):
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    return level * rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 4 * t) > 0)


@pytest.fixture
def clean(tmp_path):
    """Twelve utterances of three readers, the last one at full scale, as flac."""
    folder = tmp_path / "clean"
    wavs = {}
    for i in range(12):
        utt = f"{i // 4}-1-{i:04d}"
        wavs[utt] = str(tmp_path / f"flac/{utt}.flac")
        (tmp_path / "flac").mkdir(exist_ok=True)
        x = speechlike(0.6 + 0.1 * i, i)
        x = x / np.abs(x).max() * (1.0 if i == 11 else 0.2)
        soundfile.write(wavs[utt], np.clip(x, -1, 0.9999), RATE, subtype="PCM_16")
    write_scp(folder / "wav.scp", wavs)
    write_scp(folder / "utt2spk", {utt: utt[0] for utt in wavs})
    write_scp(folder / "spk2utt", {s: " ".join(u for u in wavs if u[0] == s) for s in "012"})
    write_scp(folder / "text", dict.fromkeys(wavs, "A TEXT"))
    return folder


@pytest.fixture
def noises(tmp_path):
    """A noise shorter than any speech, and one that is silent but for its last two seconds."""
    rng = np.random.default_rng(0)
    silent = np.concatenate([np.zeros(2 * RATE), 0.1 * rng.standard_normal(2 * RATE)])
    for kind, x in (("SHORT", 0.1 * rng.standard_normal(3000)), ("LATE", silent)):
        soundfile.write(tmp_path / f"{kind}.wav", x, RATE, subtype="PCM_16")
    write_scp(tmp_path / "noise.scp", {kind: str(tmp_path / f"{kind}.wav") for kind in ("SHORT", "LATE")})
    return tmp_path / "noise.scp"


def digest(folder):
    """Of the samples of a directory's mixtures and references."""
    found = hashlib.sha256()
    for name in ("wav.scp", "spk1.scp"):
        for utt, path in read_scp(folder / name).items():
            found.update(utt.encode() + soundfile.read(path, dtype="int16")[0].tobytes())
    return found.hexdigest()


def test_mixtures_are_what_the_files_beside_them_say(clean, noises, tmp_path):
    assert mix_data_dir(clean, tmp_path / "noisy", noises, [5, 10, 20]) == 12
    assert not list(check_data_dir(tmp_path / "noisy"))
    table = {
        n: read_scp(tmp_path / "noisy" / n) for n in ("wav.scp", "spk1.scp", "utt2noise", "utt2snr", "text")
    }
    assert set(table["utt2noise"].values()) == {"SHORT", "LATE"}
    assert set(table["utt2snr"].values()) == {"5", "10", "20"}
    for utt, path in table["wav.scp"].items():
        mix, rate = soundfile.read(path)
        reference = soundfile.read(table["spk1.scp"][utt])[0]
        assert rate == RATE and len(mix) == len(reference) and np.abs(mix).max() <= 0.99
        active = active_frames(highpass(reference))
        noise = highpass(mix - reference)
        ratio = np.mean(highpass(reference)[active] ** 2) / np.mean(noise[active] ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(float(table["utt2snr"][utt]), abs=0.05)
    clean_wavs = read_scp(clean / "wav.scp")
    moved = [utt for utt in clean_wavs if table["spk1.scp"][utt] != clean_wavs[utt]]
    assert moved == ["2-1-0011"]  # the one that would clip; the others are the corpus's own files


def test_jobs_kills_and_subsets_change_nothing(clean, noises, tmp_path):
    mix_data_dir(clean, tmp_path / "one", noises, [5, 10, 20])
    for job in (2, 1):
        assert mix_data_dir(clean, tmp_path / "two", noises, [5, 10, 20], job=job, jobs=2) == 6
        assert not (tmp_path / "two/wav.scp").exists()
    assert mix_data_dir(clean, tmp_path / "two", noises, [5, 10, 20], jobs=2) == 0
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    # killed while a line was written, and while a file was
    for journal in (tmp_path / "two").glob("audio-*/mixed.1"):
        journal.write_text(journal.read_text()[:-7])
    assert mix_data_dir(clean, tmp_path / "two", noises, [5, 10, 20], job=1, jobs=2) == 1
    assert mix_data_dir(clean, tmp_path / "two", noises, [5, 10, 20]) == 0
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    few = dict(list(read_scp(clean / "wav.scp").items())[:3])
    for name in ("wav.scp", "utt2spk", "text"):
        write_scp(tmp_path / "few" / name, {utt: read_scp(clean / name)[utt] for utt in few})
    mix_data_dir(tmp_path / "few", tmp_path / "three", noises, [5, 10, 20])
    for utt in few:
        a, b = (soundfile.read(read_scp(tmp_path / d / "wav.scp")[utt])[0] for d in ("one", "three"))
        np.testing.assert_array_equal(a, b)


def test_other_settings_make_other_mixtures_and_the_old_ones_go(clean, noises, tmp_path):
    mix_data_dir(clean, tmp_path / "noisy", noises, [5])
    before = digest(tmp_path / "noisy")
    assert mix_data_dir(clean, tmp_path / "noisy", noises, [5], seed=1) == 12
    assert digest(tmp_path / "noisy") != before and len(list((tmp_path / "noisy").glob("audio-*"))) == 1
    assert mix_data_dir(clean, tmp_path / "noisy", noises, [20], seed=1) == 12
    assert set(read_scp(tmp_path / "noisy/utt2snr").values()) == {"20"}


def test_ratio_of_an_utterance_does_not_depend_on_the_noises(clean, noises, tmp_path):
    write_scp(tmp_path / "other.scp", {"SHORT": str(tmp_path / "SHORT.wav")})
    mix_data_dir(clean, tmp_path / "a", noises, [5, 10, 20])
    mix_data_dir(clean, tmp_path / "b", tmp_path / "other.scp", [5, 10, 20])
    assert read_scp(tmp_path / "a/utt2snr") == read_scp(tmp_path / "b/utt2snr")


def test_what_cannot_be_mixed_is_named(clean, noises, tmp_path):
    soundfile.write(tmp_path / "LATE.wav", np.zeros(4 * RATE), RATE)
    write_scp(tmp_path / "silent.scp", {"LATE": str(tmp_path / "LATE.wav")})
    with pytest.raises(DataError, match=r"0-1-0000: .*10 segments of LATE drawn, all of them silent"):
        mix_data_dir(clean, tmp_path / "x", tmp_path / "silent.scp", [5])
    wavs = read_scp(clean / "wav.scp")
    soundfile.write(wavs["1-1-0005"], np.zeros(RATE), RATE)
    with pytest.raises(DataError, match=r"1-1-0005: .*speech: .*silent"):
        mix_data_dir(clean, tmp_path / "x", noises, [5])
    soundfile.write(wavs["0-1-0000"], np.zeros((RATE, 2)), RATE)
    with pytest.raises(DataError, match=r"0-1-0000: .*2 channels, need one"):
        mix_data_dir(clean, tmp_path / "y", noises, [5])
    (tmp_path / "SHORT.wav").write_text("no audio")
    with pytest.raises(DataError, match=r"SHORT: .*SHORT\.wav: cannot be read as audio"):
        mix_data_dir(clean, tmp_path / "y", noises, [5])


def test_command(clean, noises, tmp_path, capsys):
    args = ["--noise-scp", str(noises), "--snrs", "0", "5", "--jobs", "3", str(clean), str(tmp_path / "n")]
    assert command("data", "mix-data-dir")(["--job", "2", *args]) == 0 and capsys.readouterr().out == ""
    assert not (tmp_path / "n/wav.scp").exists()  # a job's share is no data directory yet
    assert command("data", "mix-data-dir")(args) == 0 and "n: 12 utterances" in capsys.readouterr().out
    assert set(read_scp(tmp_path / "n/utt2snr").values()) == {"0", "5"}


def test_a_kind_of_noise_may_have_a_blank_in_its_name(clean, noises, tmp_path):
    """Read back after an interruption, its words once became the SNR and a part of the reference's path."""
    for kind in ("SHORT", "LATE"):
        (tmp_path / f"noise/{kind} one").mkdir(parents=True)
        (tmp_path / f"{kind}.wav").rename(tmp_path / f"noise/{kind} one/a.wav")
    mix_data_dir(clean, tmp_path / "out", tmp_path / "noise", [5])
    before = {name: read_scp(tmp_path / "out" / name) for name in ("utt2noise", "utt2snr", "spk1.scp")}
    assert set(before["utt2noise"].values()) == {"SHORT one", "LATE one"}
    assert mix_data_dir(clean, tmp_path / "out", tmp_path / "noise", [5]) == 0
    (journal,) = (tmp_path / "out").glob("audio-*/mixed.0")
    journal.write_text(journal.read_text().replace("\t", " "))  # as 0.1.0 wrote it
    assert mix_data_dir(clean, tmp_path / "out", tmp_path / "noise", [5]) == 12
    for name, table in before.items():
        assert read_scp(tmp_path / "out" / name) == table


def test_the_clean_speech_is_not_replaced(clean, noises):
    before = read_scp(clean / "wav.scp")
    with pytest.raises(DataError, match="holds the clean speech; name another folder"):
        mix_data_dir(clean, clean, noises, [5])
    assert read_scp(clean / "wav.scp") == before
