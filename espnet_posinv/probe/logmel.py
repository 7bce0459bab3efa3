"""Log-mel spectrograms, the baseline that encoders are compared with."""

import numpy as np
import torch
from torchaudio.transforms import MelSpectrogram

from espnet_posinv.sample_rate import SAMPLE_RATE


def logmel(x: np.ndarray) -> torch.Tensor:
    """80 log-mel bands of `(T,)`, 50 frames a second, standardised over the utterance: `(N, 80)`."""
    transform = MelSpectrogram(SAMPLE_RATE, n_fft=400, hop_length=320, n_mels=80, center=False)
    y = torch.log(transform(torch.from_numpy(x)) + 1e-6)
    return ((y - y.mean(1, keepdim=True)) / y.std(1, keepdim=True).clamp_min(1e-3)).T
