"""Base class of the criterions: a frozen encoder outside the model, and a loss for each utterance."""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from espnet_posinv.criterions.batch import at_rate, lengths_of
from espnet_posinv.criterions.diagnosis import not_finite, with_ids
from espnet_posinv.perturb.speed import change_speed
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import SSLEncoder, load_encoder

if TYPE_CHECKING:
    from espnet_posinv.criterions.stored import StoredReferences


class SSLLoss(torch.nn.Module, ABC):
    """Distance of an enhanced and a clean waveform, between their features from a frozen encoder.

    A module for any training loop.  ESPnet accepts it as a TimeDomainLoss
    (:func:`espnet_posinv.espnet_compat.adopt_criterion`).

    The encoder is not part of the model: it is loaded at its first use (so inference never loads it), is in
    no module tree, optimizer or checkpoint, and its weights get no gradient.

    Args:
        upstream: the encoder, ``"transformers:FOLDER"`` etc.; see :func:`espnet_posinv.ssl.load_encoder`.
        layers: hidden state(s) compared: index, list of indices, "all" or "conv".
        layer_weights: one per layer; default: equal, sum 1.
        normalize_frames: scale each frame to unit L2 norm.
        normalize_input: zero mean and unit variance per utterance; None: as in the encoder's training.
        sample_rate: at which speech is compared, Hz; must be the encoder's. Batches of another rate
            (:mod:`espnet_posinv.criterions.batch`) are resampled.
        ssl_dtype: "float32", "tf32" or "bfloat16" inside the encoder.
        recompute: activation checkpointing in the encoder.
        references: folder with stored features of the clean references
            (:mod:`espnet_posinv.criterions.stored`); None: each step encodes the references.
        name: of the value in ESPnet's reports, for ``best_model_criterion``.
        only_for_test, is_noise_loss, is_dereverb_loss: as in ESPnet's TimeDomainLoss.
    """

    def __init__(
        self,
        upstream: str,
        *,
        layers: int | str | Sequence[int] = -1,
        layer_weights: Sequence[float] | None = None,
        normalize_frames: bool = False,
        normalize_input: bool | None = None,
        sample_rate: int = SAMPLE_RATE,
        ssl_dtype: str = "float32",
        recompute: bool = False,
        references: str | None = None,
        name: str,
        only_for_test: bool = False,
        is_noise_loss: bool = False,
        is_dereverb_loss: bool = False,
    ):
        super().__init__()
        if is_noise_loss and is_dereverb_loss:
            raise ValueError(f"{name}: is_noise_loss and is_dereverb_loss: one of them at most")
        for asked, word in ((is_noise_loss, "noise"), (is_dereverb_loss, "dereverb")):
            name = f"{name}_{word}" if asked and word not in name else name
        self.name = name
        self.only_for_test = only_for_test
        self.is_noise_loss = is_noise_loss
        self.is_dereverb_loss = is_dereverb_loss
        self.upstream = upstream
        self.sample_rate = sample_rate
        self.normalize_frames = normalize_frames
        self.encoder_options: dict[str, Any] = {
            "layers": layers,
            "weights": layer_weights,
            "normalize_input": normalize_input,
            "sample_rate": sample_rate,
            "dtype": ssl_dtype,
            "recompute": recompute,
        }
        self.references = references
        self._stored: StoredReferences | None = None
        self.stats: dict[str, torch.Tensor] = {}
        self._encoders: dict[torch.device, SSLEncoder] = {}  # a plain dictionary hides them from nn.Module
        self._warned: set[str] = set()

    def encoder(self, device: torch.device) -> SSLEncoder:
        """The frozen encoder on this device, loaded once."""
        if device not in self._encoders:
            with torch.inference_mode(False):  # autograd could not use tensors made in a first validation
                self._encoders[device] = load_encoder(self.upstream, **self.encoder_options).to(device)
            logging.info(f"{self.name}: {self._encoders[device].label} from {self.upstream}")
        return self._encoders[device]

    @property
    def facts(self) -> dict:
        """All settings that the features depend on, JSON-compatible."""
        options = {k: v for k, v in self.encoder_options.items() if k != "recompute"}
        return json.loads(json.dumps({"upstream": self.upstream, **options}))

    def encode_clean(
        self, ref: torch.Tensor, lengths: torch.Tensor, speeds: Sequence[float] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """F(clean), ``(B, N, D)``, and its frames ``(B,)``, without gradient; optionally at B speeds.

        Raises:
            ValueError: stored features are used, but these utterances are not stored.
        """
        encoder = self.encoder(ref.device)
        if self.references is None:
            with torch.no_grad():
                return encoder(*((ref, lengths) if speeds is None else change_speed(ref, lengths, speeds)))
        if self._stored is None:
            from espnet_posinv.criterions.stored import StoredReferences  # needs kaldiio

            self._stored = StoredReferences(self.references, self.facts)
        return self._stored.of_batch(encoder, ref, lengths, speeds)

    def forward(
        self, ref: torch.Tensor, inf: torch.Tensor, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Loss of each utterance, in float32 even within mixed-precision training.

        Args:
            ref: ``(B, T)`` clean; gets no gradient.
            inf: ``(B, T)`` enhanced.
            lengths: ``(B,)`` in samples; None: from ``batch_info``, else the full width, with a warning.

        Returns:
            ``(B,)``; the caller reduces.

        Raises:
            ValueError: ref and inf are not both ``(B, T)`` float, B or T is 0, lengths do not fit, or a clean
                signal is not finite.
        """
        for wav in (ref, inf):
            if not isinstance(wav, torch.Tensor) or not wav.is_floating_point():
                kind = wav.dtype if isinstance(wav, torch.Tensor) else type(wav).__name__
                raise ValueError(f"{self.name}: a waveform of {kind}; a float tensor in [-1, 1] is needed")
        if not ref.numel():
            raise ValueError(f"{self.name}: waveforms of {tuple(ref.shape)}: no utterance, or no sample")
        if ref.shape != inf.shape or ref.dim() != 2:
            raise ValueError(
                f"{self.name}: reference {tuple(ref.shape)} and enhanced {tuple(inf.shape)} must both be "
                "(batch, samples), single-channel and equally long"
            )
        try:
            lengths, unknown = lengths_of(inf, lengths)
            if unknown:
                self._warn_once("lengths", f"{unknown}; padding counts as speech")
            with torch.autocast(inf.device.type, enabled=False):
                clean, new_lengths = at_rate(ref.detach().float(), lengths, self.sample_rate)
                enhanced, _ = at_rate(inf.float(), lengths, self.sample_rate)
                loss = self.distance(clean, enhanced, new_lengths)
            if not loss.detach().isfinite().all():
                self._warn_once("finite", not_finite(loss, ref, inf, lengths))
        except ValueError as error:
            raise ValueError(f"{self.name}: {with_ids(str(error), len(inf))}") from error
        return loss

    @abstractmethod
    def compare(
        self, x: torch.Tensor, y: torch.Tensor, x_frames: torch.Tensor, y_frames: torch.Tensor
    ) -> torch.Tensor:
        """Distance of two sequences of features by this criterion, with its scaling.

        Used by the loss, the position probe and the report's alignments.

        Args:
            x: ``(B, N, D)``, F(enhanced).
            y: ``(B, M, D)``, F(reference); N = M for frame-wise criterions.
            x_frames, y_frames: ``(B,)``, numbers of valid frames.

        Returns:
            ``(B,)``.
        """

    def distance(self, ref: torch.Tensor, inf: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The criterion itself: ``(B, T)``, ``(B, T)``, ``(B,)`` -> ``(B,)``; sets ``stats``.

        A subclass that perturbs the reference overrides it.
        """
        clean, _ = self.encode_clean(ref, lengths)
        enhanced, frames = self.encoder(inf.device)(inf, lengths)
        self.report(frames=frames)
        return self.compare(enhanced, clean, frames, frames)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            logging.warning(f"{self.name}: {text}")

    def report(self, **values) -> None:
        """Set ``stats``: per-utterance values (B,) under this criterion's name."""
        self.stats = {f"{self.name}_{key}": torch.as_tensor(v).detach().float() for key, v in values.items()}
