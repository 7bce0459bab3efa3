"""Streams of speech in memory: load them, add speed copies, cut windows with their labels."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torchaudio.functional import resample

from espnet_posinv.kaldi.audio import read_mono
from pretraining.model import HOP, WINDOW

SPEEDS = ((1, 1), (9, 10), (11, 10))  # each copy is another voice: pitch and tempo change together


@dataclass
class Streams:
    """All streams one after another; each begins at a multiple of the hop.

    `utterances` are the fixed windows of the positional twin: each begins where a recording begins and holds
    as many as fit; longer recordings are cut.
    """

    audio: torch.Tensor  # (samples,) int16
    starts: torch.Tensor  # (streams,) first sample
    lengths: torch.Tensor  # (streams,) samples, multiples of the hop
    names: list[str]
    utterances: torch.Tensor  # (utterances, 2) first sample, samples; multiples of the hop

    @property
    def frames(self) -> int:
        """Frames of all streams, one a hop."""
        return len(self.audio) // HOP

    def items(self):
        """Iterate over `(first frame, samples float32)` of each stream."""
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            yield start // HOP, self.audio[start : start + length].float() / 32768


def load(folder: Path, window: int, device: torch.device | str = "cpu", speeds=SPEEDS) -> Streams:
    """Read every .flac, .ogg and .wav of `folder` at each speed.

    Args:
        folder: as `corpus.write_streams` leaves it, with `index.tsv`.
        window: samples; a shorter stream is filled up with zeros, so that a window can be cropped.
        device: where the samples are kept.
        speeds: (numerator, denominator) of each speed.

    Raises:
        FileNotFoundError: no stream in `folder`, or no `index.tsv`.
        ValueError: a stream cannot be read, or is not 16 kHz mono.
    """
    paths = sorted(p for p in Path(folder).glob("*.*") if p.suffix in (".flac", ".ogg", ".wav"))
    if not paths or not (Path(folder) / "index.tsv").is_file():
        raise FileNotFoundError(f"{folder}: no recordings with an index.tsv in it; make them with gather")
    spoken: dict[str, list[tuple[int, int]]] = {}
    for line in (Path(folder) / "index.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        file, _, _, start, samples = line.split("\t")
        spoken.setdefault(Path(file).stem, []).append((int(start), int(samples)))
    parts, starts, lengths, names, utterances, total = [], [], [], [], [], 0
    with ThreadPoolExecutor() as pool:
        for path, x in zip(paths, pool.map(read_mono, paths), strict=True):
            x = torch.from_numpy(x).float().to(device)
            for up, down in speeds:
                y = x if up == down else resample(x, up, down)
                size = -(-max(len(y), window) // HOP) * HOP
                y = torch.nn.functional.pad(y, (0, size - len(y)))
                parts.append((y.clamp(-1, 1) * 32767).round().short())
                ends = [(start + samples) * down // up for start, samples in spoken[path.stem]]
                utterances += [(total + a, b - a) for a, b in joined(ends, window)]
                starts.append(total)
                lengths.append(size)
                names.append(f"{path.stem}@{up / down:g}")
                total += size
    table = (torch.tensor(value, device=device) for value in (starts, lengths, utterances))
    starts, lengths, utterances = table
    return Streams(torch.cat(parts), starts, lengths, names, utterances)


def joined(ends: list[int], window: int) -> list[tuple[int, int]]:
    """`(start, stop)` in samples, multiples of the hop, of at most `window`; recordings lie end to end."""
    found, start, stop = [], 0, 0
    for end in (end // HOP * HOP for end in ends):
        if end - start > window and stop > start:
            found.append((start, stop))
            start = stop
        while end - start > window:
            found.append((start, start + window))
            start += window
        stop = end
    return [*found, (start, stop)] if stop > start else found


def crop(streams: Streams, labels: torch.Tensor, batch: int, length: int, generator, fixed: bool = False):
    """Windows `(batch, length)` float32 at random gain (-12..6 dB) and their labels `(batch, N)`.

    Args:
        streams: the speech.
        labels: `(frames,)`, clusters.
        batch: how many.
        length: samples.
        generator: of the draws.
        fixed: utterances from their first sample, zeros (label -1) behind them; otherwise windows begin
            anywhere, and streams are drawn in proportion to the windows they hold.
    """
    device = streams.audio.device
    if fixed:
        which = torch.randint(len(streams.utterances), (batch,), generator=generator, device=device)
        first, samples = streams.utterances[which].T
    else:
        room = (streams.lengths - length) // HOP + 1
        which = torch.multinomial(room.float(), batch, replacement=True, generator=generator)
        offset = torch.rand(batch, generator=generator, device=device) * room[which]
        first = streams.starts[which] + offset.long().clamp_max(room[which] - 1) * HOP
        samples = torch.full_like(first, length)
    time = torch.arange(length, device=device)
    wav = streams.audio[(first[:, None] + time).clamp_max(len(streams.audio) - 1)].float() / 32768
    gain = torch.rand(batch, 1, generator=generator, device=device) * 18 - 12
    wav = wav * 10 ** (gain / 20) * (time < samples[:, None])
    frame = torch.arange((length - WINDOW) // HOP + 1, device=device)
    target = labels[((first // HOP)[:, None] + frame).clamp_max(len(labels) - 1)].long()
    return wav, target.masked_fill(frame * HOP + WINDOW > samples[:, None], -1)
