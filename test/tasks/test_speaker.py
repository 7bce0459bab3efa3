import itertools
import json
import os
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.tasks.classify import Classification
from espnet_posinv.tasks.embedding import embed, window_starts
from espnet_posinv.tasks.speaker import SpeakerVerification, equal_error_rate
from espnet_posinv.tasks.task import Data

main = command("score", "task")

DOWNLOADS = Path(os.environ.get("POSINV_DOWNLOADS", Path(__file__).parents[2] / "egs2/mini_debian/downloads"))
WHEEL = DOWNLOADS / "Resemblyzer-0.1.4-py3-none-any.whl"
needs_wheel = pytest.mark.skipif(
    not WHEEL.exists(),
    reason=f"no {WHEEL}: python -m espnet_posinv fetch Resemblyzer --downloads {DOWNLOADS}",
)


def by_sklearn(scores, target, weights=None):
    """Where the polygon through the points of the ROC meets false alarms = misses."""
    from scipy.optimize import brentq
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(target, scores, sample_weight=weights, drop_intermediate=False)
    along = np.linspace(0, 1, len(false))
    at = brentq(lambda s: np.interp(s, along, false) + np.interp(s, along, true) - 1, 0, 1)
    return np.interp(at, along, false)


@pytest.mark.parametrize("seed", range(4))
def test_eer_is_where_the_roc_meets_the_diagonal(seed):
    generator = np.random.default_rng(seed)
    target = generator.random(300) < 0.3
    scores = np.round(generator.standard_normal(300) + 1.2 * target, 1 if seed % 2 else 6)  # with ties, too
    weights = generator.integers(0, 4, 300).astype(float)
    for w in (None, weights):
        expected = by_sklearn(scores, target, w)
        assert equal_error_rate(scores, target, w)[0] == pytest.approx(expected, abs=1e-9)


def test_eer_of_cases_known_by_hand():
    t, f = True, False
    assert equal_error_rate(np.array([3.0, 2, 1, 0]), np.array([t, t, f, f]))[0] == 0
    assert equal_error_rate(np.array([3.0, 2, 1, 0]), np.array([f, f, t, t]))[0] == 1
    assert equal_error_rate(np.array([3.0, 2, 1, 0]), np.array([t, f, t, f]))[0] == 0.5
    assert equal_error_rate(np.array([1.0, 1, 1, 1]), np.array([t, f, t, f]))[0] == 0.5
    # Copies weigh as much as weights do
    scores, target = np.array([4.0, 3, 2, 1, 0]), np.array([t, f, t, f, f])
    copies = np.array([2, 1, 1, 3, 1])
    repeated = equal_error_rate(np.repeat(scores, copies), np.repeat(target, copies))[0]
    assert equal_error_rate(scores, target, copies.astype(float))[0] == pytest.approx(repeated)


def unit(*values):
    return np.array(values, dtype=float) / np.linalg.norm(values)


VECTORS = {"a1": unit(1, 0), "a2": unit(1, 0.1), "b1": unit(0, 1), "b2": unit(0.2, 1), "c1": unit(1, 1)}
SPEAKERS = {name: name[0] for name in VECTORS}


def test_all_pairs_are_trials():
    found = SpeakerVerification("m").evaluate(Data(VECTORS, {}, SPEAKERS, {}))
    assert (found["facts"]["targets"], found["facts"]["nontargets"], found["facts"]["speakers"]) == (2, 8, 3)
    assert found["total"]["EER"]["value"] == 0 and "similarity" not in found["total"]
    some = SpeakerVerification("m", nontargets=3).evaluate(Data(VECTORS, {}, SPEAKERS, {}))
    assert (some["facts"]["targets"], some["facts"]["nontargets"]) == (2, 3)


def test_clean_speech_is_enrolled():
    # Under test, all a and b have changed places: every target scores low
    tested = {**VECTORS, "a1": VECTORS["b1"], "a2": VECTORS["b1"], "b1": VECTORS["a1"], "b2": VECTORS["a1"]}
    found = SpeakerVerification("m").evaluate(Data(tested, VECTORS, SPEAKERS, {}))
    assert (found["facts"]["targets"], found["facts"]["nontargets"]) == (4, 16)
    assert found["total"]["EER"]["value"] > 50
    cosines = {name: value["similarity"] for name, value in found["utterances"].items()}
    assert cosines["a1"] == 0 and cosines["c1"] == pytest.approx(1)
    assert found["total"]["similarity"]["value"] == pytest.approx(np.mean(list(cosines.values())))


def test_files_of_trials(tmp_path):
    (tmp_path / "kaldi").write_text("a1 a2 target\na1 b1 nontarget\nb1 b2 target\nc1 a1 nontarget\n")
    (tmp_path / "voxceleb").write_text("1 a1 a2\n0 a1 b1\n1 b1 b2\n0 c1 a1\n")
    data = Data(VECTORS, {}, SPEAKERS, {}, {"s1": "silent"})
    results = [
        SpeakerVerification("m", trials=f"{tmp_path}/{n}").evaluate(data) for n in ("kaldi", "voxceleb")
    ]
    assert results[0] == results[1]
    assert (results[0]["facts"]["targets"], results[0]["facts"]["nontargets"]) == (2, 2)
    for line, message in (
        ("a1 zz target", "bad:1: utterance 'zz' is not in the test set"),
        ("a1 s1 target", r"bad:1: utterance 's1' has no vector \(silent\); delete the line"),
        ("a1 a2 maybe", "bad:1: 'a1 a2 maybe' neither ends with target or nontarget nor begins"),
        ("nan a1 a2", "bad:1: 'nan a1 a2' neither ends with target or nontarget nor begins"),
        ("a1 a2 nontarget", "bad:1: nontarget, but by the labels a1 is of a and a2 of a; correct one"),
        ("1 a1 b1", "bad:1: target, but by the labels a1 is of a and b1 of b"),
        ("a1 a2", "bad:1: expected 3 fields"),
    ):
        (tmp_path / "bad").write_text(line + "\n")
        with pytest.raises(DataError, match=message):
            SpeakerVerification("m", trials=f"{tmp_path}/bad").evaluate(data)


def test_one_speaker_cannot_be_verified():
    for names, kind in ((("a1", "a2"), "nontarget"), (("a1", "b1", "c1"), "target")):
        with pytest.raises(DataError, match=f"no {kind} trial among {len(names)} utterances of"):
            SpeakerVerification("m").evaluate(Data({n: VECTORS[n] for n in names}, {}, SPEAKERS, {}))


def test_interval_is_over_speakers():
    # 6 speakers, 5 utterances each, vectors half of the speaker and half of chance
    generator = np.random.default_rng(0)
    voices = generator.standard_normal((6, 4))
    vectors = {
        f"s{k}-{u}": unit(*(voices[k] + generator.standard_normal(4)))
        for k, u in itertools.product(range(6), range(5))
    }
    found = SpeakerVerification("m").evaluate(Data(vectors, {}, {n: n[:2] for n in vectors}, {}))["total"][
        "EER"
    ]
    assert 5 < found["value"] < 50
    assert 0 <= found["low"] < found["value"] < found["high"] <= 100


def test_what_cannot_be_resampled_has_no_interval(tmp_path):
    """Two speakers occur in every resample with trials of both kinds: an interval of width 0."""
    names = ["a1", "a2", "b1", "b2"]
    two = SpeakerVerification("m").evaluate(Data({n: VECTORS[n] for n in names}, {}, SPEAKERS, {}))
    assert (two["total"]["EER"]["low"], two["total"]["EER"]["high"]) == (None, None)
    assert two["notes"] == ["EER has no interval: too few speakers in the trials to resample them"]
    (tmp_path / "trials").write_text("a1 a2 target\nb1 c1 nontarget\n")  # all three are always needed
    found = SpeakerVerification("m", trials=f"{tmp_path}/trials").evaluate(Data(VECTORS, {}, SPEAKERS, {}))
    assert found["total"]["EER"]["low"] is None
    assert SpeakerVerification("m").evaluate(Data(VECTORS, {}, SPEAKERS, {}))["notes"] == []


def test_settings_without_meaning():
    for task, options, message in (
        (SpeakerVerification, {"nontargets": 0}, "nontargets=0: must be 1 or more"),
        (Classification, {"folds": 1}, "folds=1: must be 2 or more"),
        (Classification, {"penalty": float("nan")}, "penalty=nan: must be a number above 0"),
    ):
        with pytest.raises(DataError, match=message):
            task("m", **options)


def test_windows_cover_an_utterance():
    for samples in (1000, 16000, 25600, 40000, 100000):
        starts = window_starts(samples)
        assert starts[0] == 0 and all(b - a == 77 for a, b in itertools.pairwise(starts))
        end = (starts[-1] + 160) * 160
        assert end > samples - 77 * 160 - 0.75 * 160 * 160  # no more than a poorly filled window is left out
        assert len(starts) == 1 or samples - starts[-1] * 160 >= 0.75 * 160 * 160


def their_encoder(tmp_path, monkeypatch):
    """Resemblyzer's own code, out of its wheel; the voice detector that it imports is not called."""
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(tmp_path)
    monkeypatch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))
    morphology = types.ModuleType("scipy.ndimage.morphology")  # gone from SciPy, used by the detector only
    morphology.binary_dilation = None
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    monkeypatch.syspath_prepend(str(tmp_path))
    from resemblyzer import VoiceEncoder, audio

    return VoiceEncoder("cpu", verbose=False), audio


@needs_wheel
def test_encoder_equals_the_packages_own(tmp_path, monkeypatch):
    encoder, audio = their_encoder(tmp_path, monkeypatch)
    generator = np.random.default_rng(0)
    for seconds in (0.5, 1.7, 3.4):
        time = np.arange(int(16000 * seconds)) / 16000
        wav = sum(np.sin(2 * np.pi * 130 * k * time + k) / k for k in range(1, 20)) * (1 + np.sin(19 * time))
        wav = (0.01 * wav + 0.001 * generator.standard_normal(len(time))).astype(np.float32)
        theirs = encoder.embed_utterance(audio.normalize_volume(wav, -30, increase_only=True))
        np.testing.assert_allclose(embed(f"ge2e:{WHEEL}", wav), theirs, atol=2e-6)


@needs_wheel
def test_voices_of_real_recordings(tmp_path, capsys):
    from espnet_posinv.corpora.prompts import prompts

    if not list((DOWNLOADS / "unpacked").glob("asterisk-core-sounds-ru-g722*")):
        pytest.skip(
            f"no French, Italian and Russian prompts under {DOWNLOADS}: stage 1 of mini_debian fetches them"
        )
    generator = np.random.default_rng(0)
    tables = {"clean.scp": "", "noisy.scp": "", "utt2spk": ""}
    for language in ("fr", "it", "ru"):
        chosen = [p for p in prompts(language, DOWNLOADS) if len(p.text.split()) >= 6][:6]
        for prompt in chosen:
            wav = prompt.read()[:48000]
            noisy = wav + wav.std() * generator.standard_normal(len(wav))
            for name, samples in (("clean", wav), ("noisy", noisy)):
                sf.write(tmp_path / f"{prompt.key}.{name}.wav", samples, 16000, subtype="FLOAT")
                tables[f"{name}.scp"] += f"{prompt.key} {tmp_path}/{prompt.key}.{name}.wav\n"
            tables["utt2spk"] += f"{prompt.key} {prompt.speaker}\n"
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
    found = {}
    for name in ("clean", "noisy"):
        files = ["--wav-scp", f"{tmp_path}/{name}.scp", "--clean-scp", f"{tmp_path}/clean.scp"]
        files += ["--labels", f"{tmp_path}/utt2spk", "--output", f"{tmp_path}/{name}.json"]
        main(["--task", "speaker", "--model", f"ge2e:{WHEEL}", *files])
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert "clean.json: EER " in capsys.readouterr().out
    assert found["clean"]["facts"]["speakers"] == 3 and found["clean"]["facts"]["targets"] == 3 * 6 * 5
    assert found["clean"]["total"]["EER"]["value"] < 5 < 20 < found["noisy"]["total"]["EER"]["value"]
    assert "similarity" not in found["clean"]["total"]  # the clean speech itself
    assert 0.3 < found["noisy"]["total"]["similarity"]["value"] < 0.95
    assert found["noisy"]["settings"]["model"] == f"ge2e:{WHEEL}"


def test_errors_of_models(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"no zip")
    with pytest.raises(
        DataError, match=r"x.whl: File is not a zip file; the wheel of Resemblyzer 0.1.4 is meant"
    ):
        embed(f"ge2e:{tmp_path}/x.whl", np.ones(8000, np.float32))
    with pytest.raises(DataError, match=r"none.pt: .*No such file"):
        embed(f"ge2e:{tmp_path}/none.pt", np.ones(8000, np.float32))
    import torch

    torch.save({"lstm.weight_ih_l0": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(
        DataError, match=r"other.pt: not the speaker encoder of Resemblyzer: linear.bias is missing"
    ):
        embed(f"ge2e:{tmp_path}/other.pt", np.ones(8000, np.float32))


@needs_wheel
def test_silence_has_no_voice(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    (tmp_path / "wav.scp").write_text(f"a {tmp_path}/a.wav\n")
    (tmp_path / "utt2spk").write_text("a s\n")
    files = [
        "--wav-scp",
        f"{tmp_path}/wav.scp",
        "--labels",
        f"{tmp_path}/utt2spk",
        "--output",
        f"{tmp_path}/o.json",
    ]
    with pytest.raises(SystemExit, match="no utterance has a vector, like a: silent"):
        main(["--task", "speaker", "--model", f"ge2e:{WHEEL}", *files])
    assert not (tmp_path / "o.json").exists()
