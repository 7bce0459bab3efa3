"""Streams of speech in memory: load them, add speed copies, crop windows with their labels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torchaudio.functional import resample

from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.pretrain.model import HOP, WINDOW

SPEEDS = ((1, 1), (9, 10), (11, 10))  # each copy is another voice: pitch and tempo change together


@dataclass
class Streams:
    """All streams one after another; each begins at a multiple of the hop."""

    audio: torch.Tensor  # (samples,) int16
    starts: torch.Tensor  # (streams,) first sample
    lengths: torch.Tensor  # (streams,) samples, multiples of the hop
    names: list[str]

    @property
    def frames(self) -> int:
        """Frames of all streams, one a hop."""
        return len(self.audio) // HOP

    def items(self):
        """Iterate over `(first frame, samples float32)` of each stream."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield start // HOP, self.audio[start : start + length].float() / 32768


def load(folder: Path, least: int, device: torch.device | str = "cpu", speeds=SPEEDS) -> Streams:
    """Read every .flac, .ogg and .wav of `folder` at each speed.

    Args:
        folder: as `corpus.write_streams` leaves it.
        least: samples; a shorter stream is filled up with zeros, so that a window can be cropped.
        device: where the samples are kept.
        speeds: (numerator, denominator) of each speed.

    Raises:
        FileNotFoundError: no stream in `folder`.
        ValueError: a stream cannot be read, or is not 16 kHz mono.
    """
    paths = sorted(p for p in Path(folder).glob("*.*") if p.suffix in (".flac", ".ogg", ".wav"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no .flac, .ogg or .wav in it; make them with --gather")
    parts, lengths, names = [], [], []
    for path, x in zip(paths, ThreadPoolExecutor().map(read_mono, paths), strict=True):
        x = torch.from_numpy(x).float().to(device)
        for up, down in speeds:
            y = x if up == down else resample(x, up, down)
            size = -(-max(len(y), least) // HOP) * HOP
            y = torch.nn.functional.pad(y, (0, size - len(y)))
            parts.append((y.clamp(-1, 1) * 32767).round().short())
            lengths.append(size)
            names.append(f"{path.stem}@{up / down:g}")
    lengths = np.array(lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return Streams(
        torch.cat(parts), torch.from_numpy(starts).to(device), torch.from_numpy(lengths).to(device), names
    )


def crop(streams: Streams, labels: torch.Tensor, batch: int, length: int, generator: torch.Generator):
    """Random windows `(batch, length)` float32 at random gain (-12..6 dB) and their labels `(batch, N)`.

    Streams are drawn in proportion to the windows they hold.
    """
    room = (streams.lengths - length) // HOP + 1
    which = torch.multinomial(room.float(), batch, replacement=True, generator=generator)
    offset = torch.rand(batch, generator=generator, device=room.device) * room[which]
    first = streams.starts[which] + offset.long().clamp_max(room[which] - 1) * HOP
    wav = streams.audio[first[:, None] + torch.arange(length, device=first.device)].float() / 32768
    gain = torch.rand(batch, 1, generator=generator, device=first.device) * 18 - 12
    count = (length - WINDOW) // HOP + 1
    frames = (first // HOP)[:, None] + torch.arange(count, device=first.device)
    return wav * 10 ** (gain / 20), labels[frames].long()
