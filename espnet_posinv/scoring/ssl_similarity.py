"""Similarity of two recordings in an SSL model's features, independent of timing."""

import functools
import os
from dataclasses import dataclass

import numpy as np

from espnet_posinv.scoring.metrics import Undefined, require_sound


@dataclass(frozen=True)
class SpeechBERTScore:
    """SpeechBERTScore (Saeki et al., arXiv 2401.16812): its precision, between -1 and 1.

    ``(1 / N') sum_j max_i cos(x'_j, x_i)``: each frame of the enhanced speech is compared with the most
    similar frame of the clean speech, at any position. The paper uses WavLM-large, layer 14. The score
    favours an enhancer that was trained through the same model, so use another one.
    """

    upstream: str  # SSL model, see :func:`~espnet_posinv.ssl.load_encoder`
    layer: int = -1  # hidden state

    def __call__(self, clean: np.ndarray, enhanced: np.ndarray) -> dict[str, float]:
        """``{"speech_bert_score": value}`` of waveforms (T,), 16 kHz; undefined if shorter than a frame."""
        import torch

        require_sound(clean=clean, enhanced=enhanced)
        encoder = _load(self, os.getpid())
        if min(len(clean), len(enhanced)) < encoder.min_samples:
            raise Undefined(f"shorter than {encoder.min_samples} samples, a frame of {encoder.label}")
        with torch.no_grad():
            x, y = (
                torch.nn.functional.normalize(encoder(torch.from_numpy(wav).float()[None])[0][0], dim=-1)
                for wav in (clean, enhanced)
            )
        return {"speech_bert_score": float((y @ x.T).amax(1).mean())}


@functools.cache
def _load(settings: SpeechBERTScore, process: int):
    """The frozen model, loaded once in each process."""
    from espnet_posinv.ssl import load_encoder

    return load_encoder(settings.upstream, layers=settings.layer)
