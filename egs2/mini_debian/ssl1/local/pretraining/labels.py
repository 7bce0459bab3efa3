"""Targets of masked prediction: k-means clusters of a teacher's features, without its positions."""

import torch

from pretraining.model import HOP, WINDOW
from pretraining.streams import Streams

FIT_FRAMES = 400_000  # drawn at random to fit the clusters on
ROUNDS = 50  # of k-means
TEACHER_FRAMES = 1000  # a teacher hears 20 s at once: Whisper takes 30


class Teacher:
    """Features of another encoder, without what tells the position and the voice.

    Frames at the same index of a window share a part if the encoder adds positions to its input, as Whisper's
    does, and clusters would follow it.  Its estimate is the mean over all windows at that index.  The mean
    over a window's frames is taken out too: it holds the voice and the channel.

    Args:
        encoder: an `SSLEncoder`, one frame in 320 samples.
        streams: the speech on which the means are taken.
    """

    @torch.no_grad()
    def __init__(self, encoder, streams: Streams):
        self.encoder = encoder.to(streams.audio.device)
        sums = counts = 0.0
        for _, x in streams.items():
            for y, _ in self._windows(x):
                missing = TEACHER_FRAMES - y.shape[1]
                sums = sums + torch.nn.functional.pad(y.sum(0), (0, 0, 0, missing))
                here = torch.full((y.shape[1], 1), float(len(y)), device=y.device)
                counts = counts + torch.nn.functional.pad(here, (0, 0, 0, missing))
        self.mean = sums / counts.clamp_min(1)

    def _windows(self, x: torch.Tensor):
        """Yield features `(K, N, D)` of K windows and how many of the N frames, the last ones, are new."""
        size = TEACHER_FRAMES * HOP
        full = len(x) // size
        # The last, incomplete window reaches back over the one before it: more context, a truer mean.
        parts = [*x[: full * size].view(full, size).split(32)] if full else []
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
            y = y - self.mean[: y.shape[1]]
            rows.append((y - y.mean(1, keepdim=True))[:, y.shape[1] - new :].flatten(0, 1))
        return torch.cat(rows)


@torch.no_grad()
def cluster(streams: Streams, teacher: Teacher, clusters: int, seed: int):
    """Label every frame by k-means.

    Args:
        streams: the speech.
        teacher: its features.
        clusters: number of them.
        seed: of sampling and fitting.

    Returns:
        `(frames,)` int16 on the streams' device, and the mean squared distance to the nearest centre over
        the variance (0: perfect).
    """
    device = streams.audio.device
    share = min(1.0, FIT_FRAMES / streams.frames)
    generator = torch.Generator(device).manual_seed(seed)
    sample = []
    for _, x in streams.items():
        y = teacher(x)
        sample.append(y[torch.rand(len(y), generator=generator, device=device) < share])
    sample = torch.cat(sample)
    centres, unexplained = k_means(sample, clusters, generator)
    labels = torch.empty(streams.frames, dtype=torch.int16, device=device)
    for first, x in streams.items():
        y = teacher(x)
        labels[first : first + len(y)] = nearest(y, centres)[0].short()
    return labels, unexplained


def nearest(y: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Number of the nearest centre and squared distance to it, `(N,)` each."""
    # |y - c|^2 - |y|^2 = |c|^2 - 2 y.c
    found = ((centres**2).sum(1) - 2 * y @ centres.T).min(1)
    return found.indices, (found.values + (y**2).sum(1)).clamp_min(0)


def k_means(sample: torch.Tensor, clusters: int, generator: torch.Generator) -> tuple[torch.Tensor, float]:
    """Centres `(clusters, D)` by Lloyd's rounds from k-means++, and the variance's share not explained."""
    pick = torch.randint(len(sample), (1,), generator=generator, device=sample.device)
    centres, distance = sample[pick], nearest(sample, sample[pick])[1]
    for _ in range(clusters - 1):  # a point far from all centres is likely to be the next
        pick = torch.multinomial(distance, 1, generator=generator)
        centres = torch.cat([centres, sample[pick]])
        distance = torch.minimum(distance, nearest(sample, sample[pick])[1])
    for _ in range(ROUNDS):
        near = nearest(sample, centres)[0]
        count = torch.bincount(near, minlength=clusters)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, near, sample)
        centres = torch.where(count > 0, sums / count.clamp_min(1), centres)
    return centres, float(nearest(sample, centres)[1].mean() / sample.var(0).sum())
