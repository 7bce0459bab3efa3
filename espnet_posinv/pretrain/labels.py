"""Targets of masked prediction: k-means clusters of MFCC, of own hidden states, of a teacher's."""

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans
from torchaudio.functional import compute_deltas
from torchaudio.transforms import MFCC
from transformers import HubertModel

from espnet_posinv.pretrain.model import HOP, WINDOW
from espnet_posinv.pretrain.streams import Streams
from espnet_posinv.sample_rate import SAMPLE_RATE

FIT_FRAMES = 200_000  # drawn at random to fit the clusters on
CHUNK = 60 * 50  # frames handled at once
TEACHER_FRAMES = 1000  # a teacher hears 20 s at once: Whisper takes 30


def mfcc(x: torch.Tensor) -> torch.Tensor:
    """39 features a frame (13 MFCC and two orders of differences), standardised over the 6 s around.

    Taking out mean and spread takes out much of channel and voice, which clusters would otherwise follow.

    Args:
        x: `(T,)` float32.

    Returns:
        `(T // 320, 39)`; frame i holds what HuBERT sees at frame i: samples 320 i to 320 i + 400.
    """
    transform = MFCC(
        SAMPLE_RATE, 13, melkwargs={"n_fft": WINDOW, "hop_length": HOP // 2, "n_mels": 40, "center": False}
    )
    y = transform.to(x.device)(torch.nn.functional.pad(x, (0, WINDOW - HOP // 2)))
    first = compute_deltas(y)
    y = torch.cat([y, first, compute_deltas(first)])[:, ::2][:, : len(x) // HOP]
    return _standardise(y).T


def _standardise(y: torch.Tensor, width: int = 301) -> torch.Tensor:
    """Subtract from `(D, N)` the mean and divide by the deviation over `width` frames around each frame."""

    def mean(z):
        return torch.nn.functional.avg_pool1d(z[None], width, 1, width // 2, count_include_pad=False)[0]

    mu = mean(y)
    return (y - mu) / (mean(y**2) - mu**2).clamp_min(1e-3).sqrt()


@torch.no_grad()
def hidden_states(model: HubertModel, x: torch.Tensor, layer: int) -> torch.Tensor:
    """Hidden states `(T // 320, D)` of `layer` for `(T,)`, by the minute with 2 s of context each side."""
    margin = 100
    count = len(x) // HOP
    padded = torch.nn.functional.pad(x, (0, WINDOW - HOP))
    rows = []
    for start in range(0, count, CHUNK):
        left, right = max(0, start - margin), min(count, start + CHUNK + margin)
        wav = padded[left * HOP : (right - 1) * HOP + WINDOW]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=x.is_cuda):
            states = model(wav[None], output_hidden_states=True).hidden_states[layer][0]
        rows.append(states[start - left : start - left + CHUNK].float())
    return torch.cat(rows)[:count]


class Teacher:
    """Features of another encoder, without what tells the position and the voice.

    Frames at the same index of a window share a part if the encoder adds positions to its input, as Whisper's
    does, and clusters would follow it.  Its estimate is the mean over all windows at that index.  The mean
    over a window's frames is taken out too: it holds the voice and the channel.  What is left is scaled to
    unit variance.

    Args:
        encoder: an `SSLEncoder`, one frame in 320 samples.
        streams: the speech on which means and variance are taken.
    """

    @torch.no_grad()
    def __init__(self, encoder, streams: Streams):
        self.encoder = encoder.to(streams.audio.device)
        sums = counts = squares = 0.0
        for _, x in streams.items():
            for y, _ in self._windows(x):
                missing = TEACHER_FRAMES - y.shape[1]
                sums = sums + torch.nn.functional.pad(y.sum(0), (0, 0, 0, missing))
                here = torch.full((y.shape[1], 1), float(len(y)), device=y.device)
                counts = counts + torch.nn.functional.pad(here, (0, 0, 0, missing))
                squares = squares + (y**2).sum((0, 1))
        self.mean = sums / counts.clamp_min(1)
        self.deviation = ((squares - (counts * self.mean**2).sum(0)) / counts.sum()).clamp_min(1e-6).sqrt()

    def _windows(self, x: torch.Tensor):
        """Yield features `(K, N, D)` of K windows and how many of the N frames, the last ones, are new."""
        size = TEACHER_FRAMES * HOP
        full = len(x) // size
        # The last, incomplete window reaches back over the one before it: more context, a truer mean.
        parts = [*x[: full * size].view(full, size).split(16)] if full else []
        if rest := len(x) % size:
            parts.append(x[None, -size:])
        for i, part in enumerate(parts):
            padded = torch.nn.functional.pad(part, (0, WINDOW - HOP))
            new = rest if rest and i == len(parts) - 1 else part.shape[1]
            yield self.encoder(padded)[0], new // HOP

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Features `(T // 320, D)` of samples `(T,)`, T a multiple of 320."""
        rows = []
        for y, new in self._windows(x):
            y = (y - self.mean[: y.shape[1]]) / self.deviation
            rows.append((y - y.mean(1, keepdim=True))[:, y.shape[1] - new :].flatten(0, 1))
        return torch.cat(rows)


def cluster(streams: Streams, features, clusters: int, seed: int) -> tuple[torch.Tensor, float]:
    """Label every frame by k-means.

    Args:
        streams: the speech.
        features: function from samples `(T,)` to `(T // 320, D)`.
        clusters: number of them.
        seed: of sampling and fitting.

    Returns:
        `(frames,)` int16 on the streams' device, and the mean squared distance to the nearest centre over
        the variance (0: perfect).
    """
    share = min(1.0, FIT_FRAMES / streams.frames)
    generator = torch.Generator().manual_seed(seed)
    sample = []
    for _, x in streams.items():
        y = features(x)
        sample.append(y[(torch.rand(len(y), generator=generator) < share).to(y.device)].cpu())
    sample = torch.cat(sample).numpy()
    model = MiniBatchKMeans(
        clusters, batch_size=10_000, n_init=1, max_iter=50, max_no_improvement=20, random_state=seed
    )
    model.fit(sample)
    unexplained = -model.score(sample) / len(sample) / sample.var(0).sum()
    centres = torch.from_numpy(model.cluster_centers_.astype(np.float32)).to(streams.audio.device)
    # argmin |x - c|^2 = argmin |c|^2 - 2 x.c
    square = (centres**2).sum(1)
    labels = torch.empty(streams.frames, dtype=torch.int16, device=streams.audio.device)
    for first, x in streams.items():
        y = features(x)
        labels[first : first + len(y)] = (square - 2 * y @ centres.T).argmin(1).short()
    return labels, float(unexplained)
