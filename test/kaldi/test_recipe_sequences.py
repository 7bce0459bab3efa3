"""Data preparations written for ESPnet's recipes run on our commands, on real recordings.

``sequences/`` holds the calls of three recipes (a folder corpus, a corpus of tables, a multi-channel
corpus of pipes) and of the template that formats their audio, in the forms these recipes use: links,
PATH, standard input, options with - and _. The recordings are telephone prompts of the Asterisk project.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from espnet_posinv.kaldi import DataDir, read_scp

REPO = Path(__file__).parents[2]
RATE = 16000


@pytest.fixture(scope="module")
def speech():
    """(text, samples) of real utterances of 1 to 3 s, 16 kHz."""
    source = pytest.importorskip("espnet_posinv.corpora.prompts")
    fetch = pytest.importorskip("espnet_posinv.corpora.fetch")
    try:
        prompts = source.prompts("en", REPO / "egs2/mini_debian/downloads")
    except fetch.FetchError as error:
        pytest.skip(f"no recordings: {error}")
    found = []
    for prompt in prompts:
        samples = prompt.read()
        if RATE < len(samples) < 3 * RATE and np.abs(samples).max() < 0.9:
            found.append((prompt.text, samples))
        if len(found) == 24:
            return found
    pytest.skip("too few recordings")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe's folder; runs a script of sequences/ in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("utils", "scripts"):
        Path(name).symlink_to(REPO / name)
    Path("path.sh").write_text("export LC_ALL=C PATH=$PWD/utils:$PATH\n")

    def run(name, *args):
        done = subprocess.run(
            ["bash", str(Path(__file__).parent / "sequences" / name), *args],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": ""},
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def save(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.rint(samples * 32768).clip(-32768, 32767).astype(np.int16), rate)


def mixed(speech, k):
    """Utterance k, another talker as noise, and their sum, as 16-bit files hold them."""
    clean, other = speech[k][1], speech[(k + 7) % len(speech)][1]
    noise = 0.1 * np.resize(other, len(clean))
    clean, noise = (np.rint(x * 32768) / 32768 for x in (0.8 * clean, noise))
    return clean, noise, clean + noise


def load(entry):
    return soundfile.read(entry, dtype="float64")


def test_folders_as_in_vctk_noisy(recipe, speech, tmp_path):
    """48 kHz files in four folders become aligned 16 kHz pairs, speed copies included."""
    if not shutil.which("sox"):
        pytest.skip("sox is not installed")
    sets = {"trainset_28spk": ["p226", "p226", "p226", "p287", "p287"], "testset": ["p232", "p232"]}
    corpus, lengths = tmp_path / "valentini", {}
    for name, speakers in sets.items():
        for k, spk in enumerate(speakers):
            clean, _, noisy = mixed(speech, k)
            up = [soxr.resample(x, RATE, 48000) for x in (clean, noisy)]
            for kind, x in zip(("clean", "noisy"), up, strict=True):
                save(corpus / f"{kind}_{name}_wav" / f"{spk}_{k:03d}.wav", x, 48000)
            lengths[f"{spk}_{k:03d}"] = len(up[0])
    recipe("vctk_noisy.sh", "--valid-spk", "p287", str(corpus))
    assert list(DataDir("data/cv").utts) == ["p287_003", "p287_004"]
    assert list(DataDir("data/tr_sp").utts) == [
        f"{prefix}p226_{k:03d}" for prefix in ("", "sp0.9-", "sp1.1-") for k in range(3)
    ]
    recipe("template.sh", "tr_sp")
    recipe("template.sh", "--audio-format", "flac", "cv")
    wavs, cleans = read_scp("dump/tr_sp/wav.scp"), read_scp("dump/tr_sp/spk1.scp")
    for utt, path in wavs.items():
        noisy, rate = load(path)
        clean, _ = load(cleans[utt])
        prefix, _, original = utt.rpartition("-")
        expected = lengths[original] / 3 / float(prefix[2:] or 1)
        assert rate == RATE and len(noisy) == len(clean)
        assert abs(len(noisy) - expected) <= 2
        # The noise was another talker, 20 dB weaker: after all the steps the pair still belongs together.
        assert np.corrcoef(noisy, clean)[0, 1] > 0.9
    assert Path(next(iter(read_scp("dump/cv/wav.scp").values()))).suffix == ".flac"


def test_tables_as_in_librimix(recipe, speech, tmp_path):
    """Four signals a mixture, no transcripts, speakers that are mixtures; short ones are dropped."""
    top = tmp_path / "LibriMix" / "Libri2Mix" / "wav16k" / "max"
    names, sums = ("mix_both", "s1", "s2", "noise"), {}
    for name, first, count in (("dev", 0, 2), ("test", 2, 3), ("train-100", 5, 3), ("train-360", 8, 3)):
        lines = ["mixture_ID,mixture_path,source_1_path,source_2_path,noise_path,length"]
        for k in range(first, first + count):
            one, noise, _ = mixed(speech, k)
            two = np.resize(mixed(speech, k + 3)[0], len(one)) * 0.25
            two = np.rint(two * 32768) / 32768
            signals = (one + two + noise, one, two, noise)
            paths = [top / name / folder / f"{k}-{k + 3}.wav" for folder in names]
            for path, signal in zip(paths, signals, strict=True):
                save(path, signal)
            lines.append(",".join([f"{k}-{k + 3}", *map(str, paths), str(len(one))]))
            sums[f"{k}-{k + 3}"] = len(one)
        table = top / "metadata" / f"mixture_{name}_mix_both.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(lines) + "\n")
    recipe("librimix.sh", "--min_or_max", "max", str(tmp_path / "LibriMix"))
    assert len(DataDir("data/train").utt2spk) == 6
    assert list(DataDir("data/test_small").utts) == ["2-5", "3-6"]
    assert set(DataDir("data/train_small").names) == {
        "noise1.scp", "spk1.scp", "spk2.scp", "spk2utt", "utt2category", "utt2spk", "wav.scp"
    }  # fmt: skip
    least = sorted(sums[utt] for utt in DataDir("data/train").utts)[2]
    recipe("template.sh", "--signals", "spk1 spk2 noise1", "--min-samples", str(least), "train")
    kept = [utt for utt in DataDir("data/train").utts if sums[utt] > least]
    assert len(kept) == 3
    tables = {name: read_scp(f"dump/train/{name}.scp") for name in ("wav", "spk1", "spk2", "noise1")}
    for table in tables.values():
        assert list(table) == kept
    for utt in kept:  # 16-bit files at the wanted rate pass through unchanged, so the sum is exact
        mixture, *parts = (load(table[utt])[0] for table in tables.values())
        np.testing.assert_array_equal(mixture, sum(parts))
    keys = [*read_scp("exp/train/keys.1.scp"), *read_scp("exp/train/keys.2.scp")]
    assert keys == kept


def test_channels_as_in_chime4(recipe, speech, tmp_path):
    """One file per channel joined by sox pipes; the annotations have one utterance too many."""
    if not shutil.which("sox"):
        pytest.skip("sox is not installed")
    corpus, notes, channels = tmp_path / "CHiME4", tmp_path / "annotations", {}
    notes.mkdir()
    for kind, spk in (("real", "F01"), ("simu", "M03")):
        dots = []
        for k in range(3):
            clean, noise, _ = mixed(speech, k)
            utt = f"{spk}_22GC01{k}_BUS"
            for ch in range(7):
                signal = clean if ch == 0 else np.roll(clean, ch) + noise * ch / 6
                save(corpus / f"tr05_bus_{kind}" / f"{utt}_{kind}.CH{ch}.wav", signal)
                channels[f"{utt}_{kind.upper()}", ch] = np.rint(signal * 32768).clip(-32768, 32767)
            dots.append(f"{speech[k][0].replace('(', '').replace(')', '')} ({utt})")
        dots.append(f"no such recording ({spk}_22GC019_BUS)")
        (notes / f"tr05_{kind}.dot").write_text("\n".join(dots) + "\n")
    recipe("chime4.sh", "--extra-annotations", str(notes), str(corpus))
    data = DataDir("data/tr05_multi")
    assert len(data.utt2spk) == 6 and set(data.utt2spk.values()) == {"F01", "M03"}
    assert set(data.read("utt2category").values()) == {"CH_real", "CH_simu"}
    assert data.read("text")["F01_22GC010_BUS_REAL"] == " ".join(speech[0][0].upper().split())

    recipe("template.sh", "tr05_multi")
    recipe("template.sh", "--ref-channels", "3", "tr05_real")
    for utt, path in read_scp("dump/tr05_multi/wav.scp").items():
        samples, _ = soundfile.read(path, dtype="int16")
        assert samples.shape[1] == 5
        for column, ch in enumerate((1, 3, 4, 5, 6)):
            np.testing.assert_array_equal(samples[:, column], channels[utt, ch])
    for utt, path in read_scp("dump/tr05_real/wav.scp").items():
        np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], channels[utt, 5])
