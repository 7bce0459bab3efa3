"""Where posinv enhance writes, and what it refuses before it writes anything."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.enh.enhancer import MODELS

MODEL = str(MODELS / "nsnet2_ssl_mse")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with a.wav, and a data directory of one entry."""
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", 0.1 * np.sin(np.arange(4000)), 16000)
    Path("data").mkdir()
    Path("data/wav.scp").write_text(f"other {tmp_path}/elsewhere.wav\n")
    return tmp_path


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("keys", "output", "message"),
    [
        (["../x"], "out", r"\.\./x: .*/x\.wav lies outside of --output-dir out; rename it"),
        (["{here}/x"], "out", r"/x: .*/x\.wav lies outside of --output-dir out"),
        (["x", "./x"], "out", r"x and \./x would both become .*/out/x\.wav: rename one"),
        (["x/y", "x//y"], "out", r"x/y and x//y would both become .*/out/x/y\.wav"),
        (["x"], "data", r"data/wav\.scp: not of posinv enhance.*elsewhere\.wav\); name another --output-dir"),
    ],
)
def test_nothing_is_written_to_a_strange_place(here, keys, output, message):
    lines = (f"{key.format(here=here)} {here}/a.wav\n" for key in keys)
    Path("keys.scp").write_text("".join(lines))
    before = files(here)
    with pytest.raises(SystemExit, match=message):
        command("enhance")([MODEL, "keys.scp", "--output-dir", output])
    assert files(here) == before


def test_a_data_directory_with_its_own_audio_is_kept_and_an_own_folder_written_again(here):
    for _ in range(2):
        command("enhance")([MODEL, "a.wav", "--output-dir", "out"])
    Path("out/utt2spk").write_text("a a\n")
    with pytest.raises(SystemExit, match=r"out/wav\.scp: .* or of a data directory"):
        command("enhance")([MODEL, "a.wav", "--output-dir", "out"])
