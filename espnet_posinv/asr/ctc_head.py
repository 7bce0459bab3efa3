"""SUPERB's recognisers (arXiv 2105.01051): a small CTC head on the hidden states of a frozen SSL model."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from espnet_posinv.asr import units as unit_files
from espnet_posinv.asr.units import Units
from espnet_posinv.files import read_json, replacing, write_json
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.ssl import SSLEncoder, load_encoder


class Head(nn.Module):
    """Log-probabilities of units: a weighted sum of hidden states, then a linear layer or a BLSTM.

    ``h_n = sum_l softmax(w)_l x_nl``; SUPERB's phoneme recognition is the linear layer on it, its speech
    recognition a projection, a BLSTM of two layers of 1024 cells and a linear layer.

    Args:
        states: number of hidden states L.
        dim: D of each.
        outputs: units, the blank included.
        kind: "linear" or "blstm".
        hidden: cells of each direction and width of the projection; for blstm.
        depth: layers of the BLSTM.
        dropout: before each layer of the BLSTM.
    """

    def __init__(
        self,
        states: int,
        dim: int,
        outputs: int,
        *,
        kind: str = "linear",
        hidden: int = 1024,
        depth: int = 2,
        dropout: float = 0.2,
    ):
        super().__init__()
        if kind not in ("linear", "blstm"):
            raise ValueError(f"head {kind!r}: there are linear and blstm")
        self.state_weights = nn.Parameter(torch.zeros(states))
        self.project = self.lstm = None
        if kind == "blstm":
            self.project = nn.Linear(dim, hidden)
            self.drop = nn.Dropout(dropout)
            between = dropout if depth > 1 else 0.0
            self.lstm = nn.LSTM(hidden, hidden, depth, batch_first=True, bidirectional=True, dropout=between)
        self.out = nn.Linear(2 * hidden if kind == "blstm" else dim, outputs)

    def forward(self, states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (B, N, outputs) of hidden states (B, N, L, D) with `lengths` (B,) frames."""
        x = torch.einsum("bnld,l->bnd", states, self.state_weights.softmax(0))
        if self.lstm is not None:
            x, lengths = self.drop(self.project(x)), lengths.cpu()
            if bool((lengths == states.shape[1]).all()):  # on a CPU in half the time
                x = self.lstm(x)[0]
            else:
                x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                x = pad_packed_sequence(self.lstm(x)[0], batch_first=True, total_length=states.shape[1])[0]
        return self.out(x).log_softmax(-1)


def with_weights(head: Head, weights: dict[str, torch.Tensor], source: str | Path) -> Head:
    """The head with its weights.

    Raises:
        DataError: one is missing, too many, of another shape, or not finite.
    """
    try:
        head.load_state_dict(weights)
    except RuntimeError as error:
        raise DataError(f"{source}: its weights do not fit its config.json: {error}") from error
    if broken := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise DataError(f"{source}: {', '.join(broken)} hold NaN or infinity; train it again")
    return head


def hidden_states(encoder: SSLEncoder, wav: torch.Tensor, lengths: torch.Tensor | None = None):
    """Hidden states (B, N, L, D) of waveforms (B, T), as the model gives them, and frames (B,)."""
    with torch.no_grad():
        features, frames = encoder(wav, lengths)
    states = len(encoder.layers)
    # An encoder of several layers scales each by the root of its weight, 1 / L.
    return features.unflatten(-1, (states, -1)) * states**0.5, frames


def greedy(log_probs: torch.Tensor) -> list[int]:
    """Most probable unit of each frame (N, outputs), repetitions merged, blanks removed."""
    best = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
    return [unit for unit in best if unit]


@dataclass
class Recipe:
    """Encoder, layers and settings of a trained head; saved as ``config.json`` beside its weights."""

    upstream: str
    layers: int | str | list[int]
    head: dict  # keyword arguments of Head
    encoder_sha256: str
    encoder_label: str
    training: dict  # for the record

    def encoder(self, upstream: str = "") -> SSLEncoder:
        """The frozen encoder, from `upstream` if given, else from where it was in training.

        Raises:
            ValueError: its weights are not those that the head was trained on.
        """
        encoder = load_encoder(upstream or self.upstream, layers=self.layers)
        if self.encoder_sha256 and encoder.fingerprint() != self.encoder_sha256:
            raise ValueError(
                f"{upstream or self.upstream}: other weights than the recogniser was trained on "
                f"({self.encoder_label}); name the right ones with upstream="
            )
        return encoder


def save(folder: Path, recipe: Recipe, units: Units, head: dict[str, torch.Tensor]) -> None:
    """Write a recogniser's folder; ``config.json`` is written last, when the folder is complete."""
    with replacing(folder / "model.pt") as temporary:
        torch.save(head, temporary)
    values = {**vars(recipe), "units": unit_files.save(units, folder)}
    write_json(folder / "config.json", values, ensure_ascii=False)


def load(folder: str | Path) -> tuple[Recipe, Units, dict[str, torch.Tensor]]:
    """Read a folder that :func:`save` wrote.

    Raises:
        DataError: no finished training there.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not (folder / "model.pt").is_file():
        raise DataError(
            f"{folder}: no finished recogniser (config.json and model.pt) of `posinv train-ctc` there"
        )
    values = read_json(folder / "config.json")
    units = unit_files.load(values.pop("units"), folder)
    return Recipe(**values), units, torch.load(folder / "model.pt", weights_only=True, map_location="cpu")
