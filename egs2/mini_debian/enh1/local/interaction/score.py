"""Phone errors of every kept model: heads on frozen encoders recognise what it makes of a test set."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet_posinv.asr import ctc_head
from espnet_posinv.files import atomic_write, read_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.sample_rate import SAMPLE_RATE

BATCH = 48  # utterances at once


class Judge:
    """A phone recogniser on a frozen encoder.

    Args:
        folder: of `posinv train-ctc`.
        upstream: where the encoder lies; "": where the head says.
        device: cpu or cuda.
    """

    def __init__(self, folder: str, upstream: str, device: str):
        recipe, self.units, weights = ctc_head.load(folder)
        if self.units.kind != "phones":
            raise DataError(f"{folder}: recognises {self.units.kind}; a head for phones is needed")
        head = ctc_head.Head(**recipe.head).eval()
        self.head = ctc_head.with_weights(head, {k: v.float() for k, v in weights.items()}, folder).to(device)
        self.encoder = recipe.encoder(upstream).to(device)

    @torch.no_grad()
    def hear(self, wav: torch.Tensor, lengths: torch.Tensor) -> list[list[str]]:
        """Phones of waveforms (B, T)."""
        states, frames = ctc_head.hidden_states(self.encoder, wav, lengths)
        best = self.head(states, frames).argmax(-1).cpu()
        rows = (
            torch.unique_consecutive(row[:n]).tolist() for row, n in zip(best, frames.tolist(), strict=True)
        )
        return [[self.units.tokens[unit] for unit in row if unit] for row in rows]


class TestSet:
    """Noisy utterances, their phones, and what each judge hears in the clean ones.

    Args:
        folder: wav.scp, text_phones.
        clean: folder with the same utterances without noise; for LPS.
        judges: by name.
        device: cpu or cuda.
        every: of how many utterances one is taken.
    """

    def __init__(self, folder: Path, clean: Path, judges: Mapping[str, Judge], device: str, every: int = 1):
        lists = [read_scp(path) for path in (folder / "wav.scp", clean / "wav.scp", folder / "text_phones")]
        names = sorted(set.intersection(*map(set, lists)))[::every]
        if not names:
            raise DataError(f"{folder}, {clean}: no utterance is in both, with phones")
        waves = {name: [torch.from_numpy(read_mono(x[name])).float() for x in lists[:2]] for name in names}
        self.names = sorted(names, key=lambda name: len(waves[name][0]))
        self.phones = [lists[2][name].split() for name in self.names]
        self.batches, clean_batches = (
            [
                self._batch([waves[name][side] for name in self.names[at : at + BATCH]], device)
                for at in range(0, len(names), BATCH)
            ]
            for side in (0, 1)
        )
        self.clean = {
            tag: [phones for batch in clean_batches for phones in judge.hear(*batch)]
            for tag, judge in judges.items()
        }

    @staticmethod
    def _batch(waves, device):
        return pad_sequence(waves, batch_first=True).to(device), torch.tensor([len(x) for x in waves])

    def errors(self, enhance: Callable, judges: Mapping[str, Judge]) -> dict[str, dict[str, list[int]]]:
        """Of each judge: wrong phones by utterance ("per"), and those against the clean speech ("lps")."""
        import editdistance

        heard: dict[str, list[list[str]]] = {tag: [] for tag in judges}
        for wav, lengths in self.batches:
            enhanced = enhance(wav, lengths)
            for tag, judge in judges.items():
                heard[tag] += judge.hear(enhanced, lengths)
        return {
            tag: {
                kind: [editdistance.eval(x, y) for x, y in zip(rows, refs, strict=True)]
                for kind, refs in (("per", self.phones), ("lps", self.clean[tag]))
            }
            for tag, rows in heard.items()
        }

    def facts(self) -> dict:
        """What errors are counted of: ids, phones of each, and of what a judge hears in the clean speech."""
        return {
            "names": self.names,
            "per": [len(phones) for phones in self.phones],
            "lps": {tag: [len(x) for x in rows] for tag, rows in self.clean.items()},
            "minutes": round(sum(int(n.sum()) for _, n in self.batches) / SAMPLE_RATE / 60, 2),
        }


@torch.no_grad()
def score(
    weights: Path, sets: Mapping[str, TestSet], judges: Mapping[str, Judge], model, device: str
) -> None:
    """Measure all seeds of one file of weights; writes a .json beside it, unless it is there.

    Args:
        weights: step<n>.pt of a cell.
        sets, judges: by name.
        model: an NSNet2 that takes the weights.
        device: cpu or cuda.
    """
    path = weights.with_suffix(".json")
    kept = read_json(path) if path.is_file() else {}
    missing = [name for name in sets if name not in kept]
    if not missing:
        return
    states = torch.load(weights, weights_only=True, map_location=device)
    for name in missing:
        kept[name] = []
        for state in states:
            model.load_state_dict({k.removeprefix("separator."): v.float() for k, v in state.items()})
            kept[name].append(sets[name].errors(lambda x, n: model(x, n.to(device))[0][0], judges))
    with atomic_write(path) as file:
        json.dump(kept, file)
