import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.tasks.classify import Classification
from espnet_posinv.tasks.task import Data, build

main = command("score", "task")

MINI_HUBERT = Path(__file__).parents[2] / "egs2/mini_debian/ssl1/mini_hubert"
MOODS = ("calm", "angry", "glad")


def corpus(speakers=6, per=12, seed=0):
    """Vectors in which the mood is two directions and the speaker an offset, larger than the mood."""
    generator = np.random.default_rng(seed)
    mood = 1.5 * generator.standard_normal((3, 8))
    vectors, labels, voices = {}, {}, {}
    for s in range(speakers):
        offset = 3 * np.r_[np.zeros(8), generator.standard_normal(8)]
        for u in range(per):
            name = f"s{s}-{u:02d}"
            vectors[name] = np.r_[mood[u % 3], np.zeros(8)] + offset + 0.5 * generator.standard_normal(16)
            labels[name], voices[name] = MOODS[u % 3], f"s{s}"
    return vectors, labels, voices


def test_moods_are_told_across_speakers():
    vectors, labels, voices = corpus()
    found = Classification("m").evaluate(Data(vectors, {}, labels, voices))
    assert found["total"]["accuracy"]["value"] > 95
    assert found["facts"]["folds"] == 5 and found["facts"]["speakers"] == 6
    assert found["facts"]["largest class"] == pytest.approx(100 / 3)
    right = [v["label"] == v["found"] for v in found["utterances"].values()]
    assert found["total"]["accuracy"]["value"] == pytest.approx(100 * np.mean(right))
    recalls = found["facts"]["recalls"]
    assert found["total"]["mean recall"]["value"] == pytest.approx(np.mean(list(recalls.values())))


def test_what_belongs_to_speakers_is_not_learnt():
    # A label that only the speaker tells: a classifier that saw the test speakers would know it
    vectors, _, voices = corpus()
    labels = {name: "xy"[int(voice[1]) % 2] for name, voice in voices.items()}
    first = {name for name in voices if name.endswith(("-00", "-01"))}
    labels = {
        name: ("y" if label == "x" else "x") if name in first else label for name, label in labels.items()
    }
    found = Classification("m").evaluate(Data(vectors, {}, labels, voices))
    assert found["total"]["accuracy"]["value"] < 80


def test_trained_on_clean_tested_on_enhanced():
    vectors, labels, voices = corpus()
    generator = np.random.default_rng(1)
    ruined = {name: generator.standard_normal(16) for name in vectors}
    found = Classification("m").evaluate(Data(ruined, vectors, labels, voices))
    assert found["total"]["accuracy"]["value"] < 60
    again = Classification("m").evaluate(Data(vectors, vectors, labels, voices))
    assert again["total"]["accuracy"]["value"] > 95


def test_errors():
    vectors, labels, voices = corpus(speakers=2)
    with pytest.raises(DataError, match="speakers are needed, to keep them apart: --utt2spk"):
        Classification("m").evaluate(Data(vectors, {}, labels, {}))
    with pytest.raises(DataError, match=r"two speakers are needed, .* got s0"):
        Classification("m").evaluate(Data(vectors, {}, labels, dict.fromkeys(voices, "s0")))
    with pytest.raises(DataError, match=r"without s[01] all utterances are 's[01]': nothing can be learnt"):
        Classification("m").evaluate(Data(vectors, {}, voices, voices))
    with pytest.raises(ValueError, match="no setting 'colour'; Classification has model, layer"):
        build("classify", "m,colour=red")
    with pytest.raises(ValueError, match="no 'emotion' here: there are speaker, classify, or name a module"):
        build("emotion", "m")


@pytest.fixture
def glides(tmp_path):
    """Data directory: rising and falling harmonics of four voices of different pitch, also in noise."""
    generator = np.random.default_rng(0)
    tables = {"wav.scp": "", "noisy.scp": "", "utt2label": "", "utt2spk": ""}
    time = np.arange(9600) / 16000
    for voice, pitch in enumerate((110, 140, 190, 230)):
        for k in range(8):
            kind = ("noise", "vowel")[k % 2]
            phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * generator.standard_normal() * time)) / 16000
            vowel = sum(np.sin(n * phase) / n for n in range(1, 12))
            wav = 0.1 * (vowel if kind == "vowel" else generator.standard_normal(9600))
            name = f"v{voice}-{k}"
            for table, samples in (("wav", wav), ("noisy", wav + 0.02 * generator.standard_normal(9600))):
                sf.write(tmp_path / f"{name}.{table}.wav", samples, 16000)
                tables[f"{table}.scp"] += f"{name} {tmp_path}/{name}.{table}.wav\n"
            tables["utt2label"] += f"{name} {kind}\n"
            tables["utt2spk"] += f"{name} v{voice}\n"
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def command(folder, *more, scp="wav.scp", labels="utt2label"):
    files = ["--wav-scp", f"{folder}/{scp}", "--labels", f"{folder}/{labels}", "--output", f"{folder}/o.json"]
    main([*files, *more])
    return json.loads((folder / "o.json").read_text())


def test_command_with_an_ssl_model(glides, capsys):
    more = ("--task", "classify", "--model", f"transformers:{MINI_HUBERT},layer=3,folds=4", "--nj", "2")
    clean = ("--utt2spk", f"{glides}/utt2spk", "--clean-scp", f"{glides}/wav.scp")
    found = command(glides, *more, *clean, scp="noisy.scp")
    assert found["total"]["accuracy"]["value"] > 75 and found["facts"]["folds"] == 4  # chance: 50
    assert found["settings"]["layer"] == 3 and found["clean"] and found["labels"] == "utt2label"
    assert "accuracy " in capsys.readouterr().out


def test_an_utterance_without_vector_is_counted_and_named(glides, capsys):
    task = ("--task", "classify", "--model", f"transformers:{MINI_HUBERT},layer=3")
    for name, samples in (("v0-0", 9600), ("v1-1", 100)):
        sf.write(glides / f"{name}.wav.wav", np.zeros(samples), 16000)
    found = command(glides, *task, "--utt2spk", f"{glides}/utt2spk")
    assert found["undefined"].keys() == {"v0-0", "v1-1"} and found["facts"]["utterances"] == 30
    assert "2 utterances undefined (v0-0: silent)" in capsys.readouterr().out


def test_missing_labels_and_bad_audio(glides):
    task = ("--task", "classify", "--model", f"transformers:{MINI_HUBERT}")
    (glides / "few").write_text("v0-0 vowel\n")
    with pytest.raises(SystemExit, match=r"few: 31 utterances of .*wav.scp are not in it, like v0-1"):
        command(glides, *task, labels="few")
    sf.write(glides / "v0-0.wav.wav", np.zeros(800), 8000)
    with pytest.raises(SystemExit, match=r"utterance v0-0: .*: 8000 Hz, need 16000 Hz"):
        command(glides, *task)


OWN = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Loudness:
    model: str
    factor: float = 1.0

    def settings(self):
        return {"factor": self.factor}

    def embed(self, wav):
        return [self.factor * float((wav**2).mean())]

    def evaluate(self, data):
        power = max(v[0] for v in data.vectors.values())
        return {"total": {"power": {"value": power, "low": None, "high": None}}}


TASK = Loudness
"""


def test_one_file_adds_a_task(glides, monkeypatch, capsys):
    (glides / "own").mkdir()
    (glides / "own/loudness.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(glides))
    found = command(glides, "--task", "own.loudness", "--model", "none,factor=2")
    powers = [(sf.read(path)[0] ** 2).mean() for path in glides.glob("*.wav.wav")]
    assert found["total"]["power"]["value"] == pytest.approx(2 * max(powers), rel=1e-5)
    assert "power 0.0" in capsys.readouterr().out
