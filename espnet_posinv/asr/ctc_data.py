"""Utterances of a CTC training, in batches, and their frozen features.

The features of an utterance never change, so they are kept in memory after the first pass, for as many
utterances as fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_posinv.asr.ctc_head import hidden_states
from espnet_posinv.asr.units import Units
from espnet_posinv.kaldi.audio import audio_info, read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import SSLEncoder


@dataclass
class Utterance:
    """One recording and the numbers of its units."""

    name: str
    entry: str
    samples: int
    units: list[int]


def read_set(
    scp: str | Path, text: str | Path, units: Units, encoder: SSLEncoder, say: Callable, strict: bool
) -> list[Utterance]:
    """Utterances, shortest first.

    CTC needs a frame for each unit and one between two equal ones; utterances with fewer frames are left out
    of training, which is reported.

    Args:
        encoder: its frames are counted.
        strict: for a validation set: keep every utterance; units unseen in training count as errors.

    Raises:
        DataError: ids differ, audio of another rate, or fewer than 90 % of the utterances are left.
    """
    wavs, texts = read_scp(scp), read_scp(text, empty_values=True)
    if lacking := wavs.keys() - texts.keys():
        raise DataError(f"{text}: no transcript of {len(lacking)} utterances of {scp}, like {min(lacking)}")
    items, left_out = [], []
    for name, entry in wavs.items():
        info = audio_info(entry)
        if info.rate != SAMPLE_RATE or info.channels != 1:
            raise DataError(
                f"{name}: {entry}: {info.channels} channel(s) at {info.rate} Hz, need one at {SAMPLE_RATE} Hz"
            )
        numbers = units.encode(texts[name])
        if numbers is None and strict:  # a separate unit, never recognised
            known = {token: number for number, token in enumerate(units.tokens)}
            numbers = [known.get(unit, -1) for unit in units.split(texts[name])]
        repeats = sum(a == b for a, b in zip(numbers or [], (numbers or [])[1:], strict=False))
        enough = numbers is not None and int(encoder.frame_lengths(info.samples)) >= max(
            1, len(numbers) + repeats
        )
        if enough or (strict and info.samples >= encoder.min_samples):
            items.append(Utterance(name, entry, info.samples, numbers))
        else:
            left_out.append(name)
    if left_out:
        say(f"{scp}: {len(left_out)} utterances left out, shorter than their transcripts: {left_out[:3]}")
    if len(items) < 0.9 * len(wavs):
        raise DataError(f"{scp}: only {len(items)} of {len(wavs)} utterances are long enough for their text")
    if strict and not any(item.units for item in items):
        raise DataError(f"{text}: holds no word to validate on")
    return sorted(items, key=lambda item: (item.samples, item.name))


def batches(items: list[Utterance], seconds: float, seed: int, epoch: int) -> list[list[Utterance]]:
    """Batches of utterances of similar length, in an order that depends on epoch and seed."""
    groups: list[list[Utterance]] = [[]]
    for item in items:
        if groups[-1] and item.samples * (len(groups[-1]) + 1) > seconds * SAMPLE_RATE:
            groups.append([])
        groups[-1].append(item)
    generator = torch.Generator().manual_seed(1000003 * seed + epoch)
    return [groups[k] for k in torch.randperm(len(groups), generator=generator).tolist()]


class Features:
    """Hidden states of utterances; the first ones computed are kept in memory, up to `gigabytes`."""

    def __init__(self, encoder: SSLEncoder, device: torch.device, gigabytes: float):
        self.encoder, self.device = encoder, device
        self.left = gigabytes * 1e9
        self.kept: dict[str, torch.Tensor] = {}

    def __call__(self, items: list[Utterance]) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, N, L, D) on the device, and the number of frames (B,)."""
        new = [item for item in items if item.entry not in self.kept]
        fresh = dict(zip((item.entry for item in new), self._compute(new), strict=True))
        states = [fresh[i.entry] if i.entry in fresh else self.kept[i.entry].to(self.device) for i in items]
        for entry, value in fresh.items():
            if value.nbytes <= self.left:
                self.left -= value.nbytes
                self.kept[entry] = value.cpu()
        frames = torch.tensor([len(value) for value in states])
        return pad_sequence(states, batch_first=True), frames

    def _compute(self, items: list[Utterance]) -> list[torch.Tensor]:
        if not items:
            return []
        wavs = [torch.from_numpy(read_mono(item.entry)).float() for item in items]
        lengths = torch.tensor([len(wav) for wav in wavs], device=self.device)
        padded = pad_sequence(wavs, batch_first=True).to(self.device)
        states, frames = hidden_states(self.encoder, padded, lengths)
        # A copy: a view would keep the whole batch in memory
        return [row[:n].clone() for row, n in zip(states, frames.tolist(), strict=True)]
