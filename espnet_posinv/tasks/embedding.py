"""Vectors of utterances: a speaker encoder's, or the mean frame of a frozen SSL model."""

import functools
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.scoring.metrics import Undefined

HOP, BANDS = 160, 40
WINDOW, STEP = 160, 77  # frames of a training window, and between windows (1.3 a second)
COVERAGE = 0.75  # least share of speech in the last window
LEVEL = -30.0  # dBFS: quieter recordings are amplified to this level


def embed(model: str, wav: np.ndarray, layer: int = -1) -> np.ndarray:
    """Vector (D,) of one utterance (T,), float32, 16 kHz.

    Args:
        model: ``ge2e:PATH``, the wheel of the package Resemblyzer or its pretrained.pt; or an SSL
            model as in :func:`~espnet_posinv.ssl.load_encoder`, whose frames are averaged.
        layer: hidden state of an SSL model.

    Raises:
        Undefined: silence, or too short for the model.
    """
    kind, _, name = model.partition(":")
    with torch.no_grad():
        if kind == "ge2e":
            return _ge2e(name, os.getpid()).embed(wav).numpy()
        encoder = _ssl(model, layer, os.getpid())
        if not wav.any():
            raise Undefined("silent")
        if len(wav) < encoder.min_samples:
            raise Undefined(f"shorter than {encoder.min_samples} samples, a frame of {encoder.label}")
        frames, _ = encoder(torch.from_numpy(wav)[None])
        return frames[0].mean(0).numpy()


class SpeakerEncoder(nn.Module):
    """The d-vector encoder of GE2E (arXiv 1710.10467) as the package Resemblyzer trained it.

    Three LSTM layers over mel spectrograms of 1.6 s; the last state is projected, rectified, scaled to length
    1 and averaged over windows. The library also removes silences with a voice activity detector, which is
    not done here, because it would treat noisy, enhanced and clean recordings differently.
    """

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(BANDS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """Vectors (B, 256) of windows (B, frames, 40)."""
        _, (state, _) = self.lstm(mel)
        return nn.functional.normalize(self.linear(state[-1]).relu(), dim=-1)

    def embed(self, wav: np.ndarray) -> torch.Tensor:
        """Vector (256,) of length 1 of an utterance (T,).

        Raises:
            Undefined: silence.
        """
        import librosa

        level = 20 * np.log10(max(np.sqrt(np.mean(wav.astype(float) ** 2)), 1e-12))
        if level < -200:
            raise Undefined("silent")
        wav = wav * np.float32(10 ** (max(0.0, LEVEL - level) / 20))
        starts = window_starts(len(wav))
        wav = np.pad(wav, (0, max(0, (starts[-1] + WINDOW) * HOP - len(wav))))
        mel = librosa.feature.melspectrogram(y=wav, sr=SAMPLE_RATE, n_fft=400, hop_length=HOP, n_mels=BANDS)
        mel = torch.from_numpy(mel.T.astype(np.float32))
        windows = torch.stack([mel[start : start + WINDOW] for start in starts])
        return nn.functional.normalize(self(windows).mean(0), dim=0)


def window_starts(samples: int) -> list[int]:
    """First frames of the windows that cover an utterance; a last one that is mostly padding is dropped."""
    frames = samples // HOP + 1
    starts = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    if len(starts) > 1 and samples - starts[-1] * HOP < COVERAGE * WINDOW * HOP:
        starts.pop()
    return starts


@functools.lru_cache(maxsize=2)
def _ge2e(path: str, process: int) -> SpeakerEncoder:
    """The speaker encoder, loaded once in each process."""
    file = Path(path)
    try:
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel:
                weights = io.BytesIO(wheel.read("resemblyzer/pretrained.pt"))
        else:
            weights = io.BytesIO(file.read_bytes())
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{file}: {error}; the wheel of Resemblyzer 0.1.4 is meant (python -m espnet_posinv fetch "
            "Resemblyzer), or resemblyzer/pretrained.pt out of it"
        ) from None
    state = torch.load(weights, map_location="cpu", weights_only=True)
    state = state.get("model_state", state)
    encoder = SpeakerEncoder()
    names = encoder.state_dict().keys()
    if lacking := names - state.keys():
        raise DataError(f"{file}: not the speaker encoder of Resemblyzer: {min(lacking)} is missing")
    encoder.load_state_dict({name: state[name] for name in names})
    return encoder.eval()


@functools.lru_cache(maxsize=2)
def _ssl(model: str, layer: int, process: int):
    """The SSL model, loaded once in each process."""
    from espnet_posinv.ssl import load_encoder

    return load_encoder(model, layers=layer)
