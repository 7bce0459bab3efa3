"""One interface to the frozen encoders whose representations the criterions compare."""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from espnet_posinv.device import to_device
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.masking import masked_standardise, span_mask
from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.products import round_weights, tf32

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}
ROWS = {"cuda": 128}  # frames of a ragged batch are a multiple, on devices of this type


class SSLEncoder(nn.Module):
    """Frozen encoder: waveforms in, frames out, the gradient reaches the waveform.

    The features of an utterance do not depend on the rest of the batch or on the content of its padding
    (rtol 1e-4).  The encoder stays in eval mode (no dropout, no dropped layers, no
    masking of time) even if the caller's training loop calls ``train()``.

    Several layers are returned side by side, each scaled by the square root of its weight: the squared
    distance of two such frames is the weighted sum of the layers' squared distances,
    ``||x - y||^2 = sum_l w_l ||x_l - y_l||^2``.

    Args:
        network: yields hidden states (see ``Wav2Vec2Network.states``); taken over: with "bfloat16" its own
            weights are rounded.
        label: what the model is and how it was trained, for tables and logs.
        layers: index of a hidden state (0 = input of the first layer, -1 = last one), a list of indices,
            ``"all"`` (0 to the last) or ``"conv"`` (the convolutional front end).
        weights: one per layer, > 0; default: 1 / number of layers.
        normalize_input: each waveform is brought to zero mean and unit variance first.
        sample_rate: of the waveforms, Hz.
        dtype: of what is computed: "float32", "tf32" (float32 with matrix products in TF32 on a GPU; on a CPU
            the same as float32) or "bfloat16".
        recompute: activation checkpointing; less memory for one more forward pass.

    Raises:
        ValueError: a layer that the model does not have, or weights that do not fit.
    """

    network: Any  # a module with num_layers, hop, min_samples, frame_lengths() and states()

    def __init__(
        self,
        network: nn.Module,
        *,
        label: str,
        layers: int | str | Sequence[int] = -1,
        weights: Sequence[float] | None = None,
        normalize_input: bool = False,
        sample_rate: int = SAMPLE_RATE,
        dtype: str = "float32",
        recompute: bool = False,
    ):
        super().__init__()
        if dtype not in DTYPES:
            raise ValueError(
                f"dtype {dtype!r}: an encoder runs in float32, tf32 or bfloat16 (float16 overflows)"
            )
        self.network = network.float().requires_grad_(False).eval()
        self._sha256 = None
        if dtype == "bfloat16":
            self._sha256 = self.fingerprint()
            round_weights(network)
        self.label = label
        self.sample_rate = sample_rate
        self.normalize_input = normalize_input
        self.dtype = DTYPES[dtype]
        self.tf32 = dtype == "tf32"
        self.recompute = recompute
        self.layers = _layer_list(layers, self.network.num_layers)
        weights = [1.0 / len(self.layers)] * len(self.layers) if weights is None else list(weights)
        if len(weights) != len(self.layers) or not all(w > 0 for w in weights):
            raise ValueError(f"weights {weights}: give one positive weight for each of layers {self.layers}")
        self.weights = weights if len(weights) > 1 else [1.0]
        self.eval()

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return self.network.hop

    @property
    def min_samples(self) -> int:
        """Samples of the shortest utterance that gives a frame."""
        return self.network.min_samples

    def frame_lengths(self, lengths):
        """Frames (B,) of utterances of ``lengths`` (B,) samples."""
        return self.network.frame_lengths(lengths)

    def fingerprint(self) -> str:
        """SHA-256 over all weights as they were loaded, names included."""
        if self._sha256 is not None:
            return self._sha256
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def train(self, mode: bool = True):
        """Frozen: stays in eval mode."""
        return super().train(False)

    def forward(
        self,
        wav: torch.Tensor,
        lengths: torch.Tensor | None = None,
        statistics: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of a batch of waveforms.

        Args:
            wav: ``(B, T)`` in [-1, 1] at ``sample_rate``; padding after an utterance may have any values.
            lengths: ``(B,)`` in samples; None: all rows are full.  Best on the CPU: a GPU would wait.
            statistics: ``(start, stop)``, ``(B,)`` each, in samples: the span over which normalisations
                along time take their statistics; None: the whole utterance.

        Returns:
            ``(B, N, D)`` float32 and the number of valid frames ``(B,)``; later frames are undefined.

        Raises:
            ValueError: wrong shapes, or an utterance that is too short or too long for the model.
        """
        if wav.dim() != 2 or not wav.is_floating_point():
            raise ValueError(f"wav must be float (B, T), not {wav.dtype} {tuple(wav.shape)}")
        counts = [wav.shape[1]] * len(wav) if lengths is None else lengths.tolist()
        self._check(counts, wav)
        batch, frames_of_all = len(wav), self.frame_lengths(wav.shape[1])
        frame_lengths = to_device(self.frame_lengths(torch.tensor(counts)), wav.device)
        if wav.device.type in ROWS and min(counts) < max(counts):
            wav, counts, statistics = self._fill(wav, counts, statistics, ROWS[wav.device.type])
        frames = Packing([self.frame_lengths(n) for n in counts], wav.device)
        with torch.autocast(wav.device.type, enabled=False), tf32(self.tf32):
            x = self._prepare(wav.float(), counts, statistics)
            found = {}
            for index, state in self.network.states(x, counts, frames, statistics, self.dtype, self._run):
                if index in self.layers:
                    found[index] = frames.unpack(state.float())
                if len(found) == len(self.layers):
                    break
        feats = [
            found[i] * w**0.5 if w != 1.0 else found[i]
            for i, w in zip(self.layers, self.weights, strict=True)
        ]
        x = feats[0] if len(feats) == 1 else torch.cat(feats, dim=-1)
        behind = frames_of_all - x.shape[1], batch - len(x)
        return (F.pad(x, (0, 0, 0, behind[0], 0, behind[1])) if any(behind) else x), frame_lengths

    def _fill(self, wav, counts, statistics, rows):
        """One more utterance, of silence, after which the number of frames is a multiple of `rows`.

        For a size that it has not met before, a GPU's libraries choose their kernels anew and the allocator
        looks for memory, both on the host.
        """
        missing = -sum(self.frame_lengths(n) for n in counts) % rows
        if not missing:
            return wav, counts, statistics
        silence = self.min_samples + (missing - 1) * self.hop
        wav = F.pad(wav, (0, max(silence - wav.shape[1], 0), 0, 1))
        if statistics is not None:
            start, stop = statistics
            statistics = F.pad(start, (0, 1)), F.pad(stop, (0, 1), value=silence)
        return wav, [*counts, silence], statistics

    def _check(self, counts, wav):
        if len(counts) != len(wav):
            raise ValueError(f"{len(counts)} lengths for a batch of {len(wav)}")
        low, high = self.min_samples, self.network.max_samples
        for row, n in enumerate(counts):
            if n > wav.shape[1]:
                raise ValueError(
                    f"utterance {row} of the batch: length {n} exceeds the tensor's {wav.shape[1]}"
                )
            if n < low:
                raise ValueError(
                    f"utterance {row} of the batch: {n} samples, but {self.label} needs {low} or more"
                )
            if high is not None and n > high:
                raise ValueError(
                    f"utterance {row} of the batch: {n} samples, but {self.label} takes {high} at most; "
                    "train on shorter segments"
                )

    def _prepare(self, wav, counts, statistics):
        if min(counts) == wav.shape[1] and not self.normalize_input:
            return wav
        stop = to_device(torch.tensor(counts), wav.device)
        inside = span_mask(torch.zeros_like(stop), stop, wav.shape[1])
        wav = wav.masked_fill(~inside, 0.0)
        if self.normalize_input:
            spans = None if statistics is None else [to_device(x, wav.device) for x in statistics]
            counted = inside if spans is None else span_mask(*spans, wav.shape[1])
            wav = masked_standardise(wav, counted, eps=1e-7).masked_fill(~inside, 0.0)
        return wav

    def _run(self, module, *args):
        """``module(*args)``; with `recompute`, its activations are computed again in the backward pass."""

        if not (self.recompute and torch.is_grad_enabled()):
            return module(*args)

        def again(*args):
            with tf32(self.tf32):
                return module(*args)

        return checkpoint(again, *args, use_reentrant=False)


def _layer_list(layers, num_layers: int) -> list[int | str]:
    """Hidden states by name, in the order asked for: 0..num_layers or "conv"."""
    if layers == "all":
        return list(range(num_layers + 1))
    wanted = [layers] if isinstance(layers, int | str) else list(layers)
    if not wanted:
        raise ValueError("layers is empty: name at least one hidden state")
    found = []
    for layer in wanted:
        if layer == "conv":
            found.append(layer)
        elif isinstance(layer, int) and -num_layers - 1 <= layer <= num_layers:
            found.append(layer % (num_layers + 1))
        else:
            raise ValueError(
                f"layer {layer!r}: the model has hidden states 0 to {num_layers} (or -1 for the last), "
                'or say "conv" or "all"'
            )
    if len(set(found)) != len(found):
        raise ValueError(f"layers {layers}: the same hidden state is named twice")
    return found
