"""All problems of a recipe's data in one list, each with set, utterance and remedy."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv import cli
from espnet_posinv.recipe.check_data import Limit, check_sets

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "egs2/mini_debian/ssl1/mini_hubert"


def write(path, samples, rate=16000, subtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


@pytest.fixture
def sets(tmp_path):
    """Folders of a training and a test set, sound."""
    for name in ("train", "test"):
        data = tmp_path / name
        ids = [f"s{i}-u" for i in range(3)]
        for kind in ("wav", "spk1"):
            for utt in ids:
                write(data / f"audio/{kind}-{utt}.wav", 0.1 * np.ones(8000))
            lines = (f"{utt} {data}/audio/{kind}-{utt}.wav\n" for utt in ids)
            (data / f"{kind}.scp").write_text("".join(lines))
        (data / "utt2spk").write_text("".join(f"{utt} {utt[:2]}\n" for utt in ids))
        (data / "text").write_text("".join(f"{utt} one\n" for utt in ids))
    return tmp_path


def problems(sets, **options):
    return [str(p) for p in check_sets([sets / "train"], [sets / "test"], jobs=1, **options)]


def test_sound_data_have_none(sets):
    (sets / "train/text").unlink()  # needed for tests only
    (sets / "train/notes").write_text("mine\n")
    lines = (sets / "test/text").read_text().splitlines(keepends=True)
    (sets / "test/text").write_text("".join(reversed(lines)))  # nothing here depends on the order
    assert problems(sets, train_limits=[Limit("x", 400)]) == []


def break_channels(sets):
    write(sets / "train/audio/wav-s1-u.wav", np.zeros((8000, 2)))


def break_nan(sets):
    samples = np.zeros(8000)
    samples[5] = np.nan
    write(sets / "train/audio/wav-s1-u.wav", samples, subtype="FLOAT")


def break_reference(sets):
    write(sets / "test/audio/spk1-s1-u.wav", np.ones(8001))


def break_rate(sets):
    write(sets / "test/audio/spk1-s1-u.wav", np.ones(8000), 8000)


def break_missing(sets):
    (sets / "test/audio/wav-s1-u.wav").unlink()


def break_spk1(sets):
    (sets / "train/spk1.scp").unlink()


def break_text(sets):
    (sets / "test/text").unlink()


def break_id(sets):
    (sets / "test/text").write_text("s0-u one\ns1-u two\n")


def break_short(sets):
    write(sets / "train/audio/wav-s1-u.wav", np.ones(300))
    write(sets / "train/audio/spk1-s1-u.wav", np.ones(300))


def break_long(sets):
    write(sets / "test/audio/wav-s1-u.wav", np.ones(90000))
    write(sets / "test/audio/spk1-s1-u.wav", np.ones(90000))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (break_channels, ["train/wav.scp:2: 's1-u' has 2 channels, one is needed"]),
        (break_nan, ["train/wav.scp:2: 's1-u': ", "sample 5 is [nan], not a finite number"]),
        (break_reference, ["test/spk1.scp:2: 's1-u' has 8001 samples at 16000 Hz, its mixture 8000"]),
        (break_rate, ["test/spk1.scp:2: 's1-u' has 8000 samples at 8000 Hz, its mixture 8000 at 16000 Hz"]),
        (break_missing, ["test/wav.scp:2: 's1-u': ", "No such file"]),
        (break_spk1, ["train/spk1.scp: no such file: training and scoring need the clean speech"]),
        (break_text, ["test/text: no such file"]),
        (break_id, ["test/text: utterance 's2-u' of utt2spk is missing"]),
        (break_short, ["train/wav.scp: 's1-u' has 300 samples (0.0187 s), but hubert takes at least 400"]),
        (break_long, ["test/wav.scp: 's1-u' has 90000 samples (5.62 s), but slow takes at most 80000"]),
    ],
)
def test_what_is_broken_is_named(sets, broken, expected):
    broken(sets)
    limits = {"train_limits": [Limit("hubert", 400)], "test_limits": [Limit("slow", 1, 80000)]}
    (found,) = problems(sets, **limits)
    assert all(part in found for part in expected), found


def test_all_are_told_at_once_by_the_command(sets, capsys):
    break_channels(sets)
    break_text(sets)
    break_short(sets)
    command = ["--train", str(sets / "train"), "--test", str(sets / "test"), "--nj", "1"]
    command += ["--upstream", f"mini=transformers:{MODEL}", "--recogniser", "a=whisper_transformers:x"]
    with pytest.raises(SystemExit, match="check-data: 2 problems in the data; nothing was trained"):
        cli.command("recipe", "check-data")(command)
    said = capsys.readouterr().err
    assert "mini (HuBERT 6 x 256 (self-supervised)) takes at least 400" in said and "test/text" in said
