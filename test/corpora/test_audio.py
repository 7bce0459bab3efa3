"""Recordings of any length and rate as 16 kHz mono."""

import numpy as np
import pytest
import soundfile

from espnet_posinv.corpora.audio import read_audio


@pytest.mark.parametrize("seconds", [0.01, 0.3, 1.0, 2.5])  # once, those below a second had "no samples"
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_recordings_are_whole(tmp_path, seconds, rate):
    t = np.arange(round(seconds * rate)) / rate
    soundfile.write(tmp_path / "x.wav", 0.5 * np.sin(2 * np.pi * 440 * t), rate)
    x = read_audio(tmp_path / "x.wav")
    assert abs(len(x) - 16000 * seconds) <= 32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(x)) / 16000)
    middle = slice(len(x) // 4, -len(x) // 4)
    assert np.abs(x[middle] - expected[middle]).max() < 0.02
    assert len(read_audio(tmp_path / "x.wav", seconds / 2)) == round(seconds * 8000)
