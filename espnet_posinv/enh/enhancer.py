"""Enhance waveforms of any length and sample rate with a trained model."""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet_posinv.device import find_device
from espnet_posinv.files import read_yaml
from espnet_posinv.sample_rate import SAMPLE_RATE

MODELS = Path(__file__).parents[2] / "egs2/mini_debian/enh1/models"  # exists in a checkout
SHORTEST = 1600  # samples; shorter inputs are zero-padded, for models with windows
# In the order of enh.sh: a training's best model comes before a model imported into its folder.
CHECKPOINTS = ("valid.loss.best.pth", "model.pth", "valid.*.best.pth", "latest.pth")


class Enhancer:
    """Applies a single-speaker enhancement model of ESPnet to waveforms.

    >>> enhancer = Enhancer.from_pretrained("nsnet2_ssl_mse")  # shipped, or a folder
    >>> noisy = np.random.default_rng(0).normal(0, 0.1, 44100)
    >>> speech = enhancer(noisy, 44100)
    >>> speech.shape, bool(np.std(speech) < np.std(noisy))
    ((44100,), True)

    Args:
        model: ESPnet's (or our) enhancement model.
        sample_rate: of its training data, Hz.
        segment: seconds; longer recordings are enhanced in pieces of this length.
        overlap: seconds of the cross-fade between neighbouring pieces.
        batch_size: pieces enhanced in one batch.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        sample_rate: int = SAMPLE_RATE,
        *,
        segment: float = 30.0,
        overlap: float = 1.0,
        batch_size: int = 1,
    ):
        if not isinstance(model, torch.nn.Module):
            raise ValueError(
                f"{model!r}: a model is needed; Enhancer.from_pretrained reads one from its folder"
            )
        if model.num_spk != 1:
            raise ValueError(f"the model separates {model.num_spk} speakers; an Enhancer needs one output")
        if not 0 <= 2 * overlap <= segment:
            raise ValueError(f"overlap {overlap} s: must be at most half of the segment of {segment} s")
        if min(sample_rate, batch_size) < 1:
            raise ValueError(f"sample rate {sample_rate}, batch size {batch_size}: each must be above 0")
        self.model = model.eval()
        self.sample_rate = sample_rate
        self.segment = round(segment * sample_rate)
        self.overlap = round(overlap * sample_rate)
        self.batch_size = batch_size

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        checkpoint: str | None = None,
        *,
        device: str | torch.device = "cpu",
        **options,
    ) -> "Enhancer":
        """Read an experiment folder: config.yaml and a checkpoint beside it; or a model of this repository.

        The criterions of the configuration are not loaded, so no SSL model is needed.

        Args:
            folder: of a training of ESPnet's or an imported model; or the name of a model in
                egs2/mini_debian/enh1/models, like "nsnet2_ssl_softdtw".
            checkpoint: file name in the folder; None: the first that exists of valid.loss.best.pth,
                model.pth, another (single) valid.*.best.pth, latest.pth.
            device: of the model.
            **options: sample_rate, segment, overlap, batch_size.

        Raises:
            ValueError: a file is missing, or the checkpoint is of another model.
        """
        device = find_device(device)
        from espnet_posinv.enh.task import PosinvEnhancementTask  # takes seconds

        folder = Path(folder)
        if not folder.exists() and (MODELS / folder).is_dir():
            folder = MODELS / folder
        config = folder / "config.yaml"
        if not config.is_file():
            names = ", ".join(sorted(path.parent.name for path in MODELS.glob("*/config.yaml")))
            raise ValueError(
                f"{folder}: no model here; looked for {config}"
                + (f"; by name there are {names}" if names else "")
            )
        values = read_yaml(config)
        path = checkpoint_of(folder, checkpoint)
        model = PosinvEnhancementTask.build_model(Namespace(**{**values, "criterions": None, "init": None}))
        try:
            model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # pickle, zip and torch raise their own types
            raise ValueError(f"{path}: broken, or not of the model in {config}:\n{error}") from error
        return cls(model.to(device), **options)

    def __call__(
        self,
        wav: np.ndarray | torch.Tensor | Sequence[np.ndarray | torch.Tensor],
        sample_rate: int | None = None,
        *,
        wet: float = 1.0,
    ) -> np.ndarray | torch.Tensor | list[np.ndarray | torch.Tensor]:
        """Enhance a waveform, or several.

        Args:
            wav: ``(T,)``, numpy or torch, float in [-1, 1] or int16; or a list of such.
            sample_rate: of wav, Hz; None: the model's. Other rates are resampled before and after.
            wet: share of the enhanced signal, ``wet * enhanced + (1 - wet) * noisy``.  A part of the noisy
                signal often helps a recogniser.

        Returns:
            float32 in [-1, 1], of the same number, lengths and sample rate as the input; tensors (on the CPU)
            for tensors.

        Raises:
            ValueError: several channels, empty or not finite input, output that is not finite, another type,
                or wet outside [0, 1].
        """
        if not 0.0 <= wet <= 1.0:
            raise ValueError(f"wet {wet}: a share between 0 (noisy) and 1 (enhanced)")
        if isinstance(wav, (np.ndarray, torch.Tensor)) and wav.ndim != 1:
            raise ValueError(
                f"waveform of shape {tuple(wav.shape)}: one channel (T,) is needed; list(wav.T) is a list of "
                "the channels of (T, channels), list(wav) one of the rows"
            )
        if not isinstance(wav, (np.ndarray, torch.Tensor, Iterable)):
            raise ValueError(f"a {type(wav).__name__}: an array (T,) is needed, or a list of such")
        single = isinstance(wav, (np.ndarray, torch.Tensor))
        given = [wav] if single else list(wav)
        noisy = [_checked(w, i) for i, w in enumerate(given)]
        rate = self.sample_rate if sample_rate is None else sample_rate
        enhanced = self._enhance([_resample(w, rate, self.sample_rate) for w in noisy])
        out: list[np.ndarray | torch.Tensor] = []
        for dry, w, original in zip(noisy, enhanced, given, strict=True):
            w = _resample(w, self.sample_rate, rate)
            w = np.pad(w[: len(dry)], (0, max(0, len(dry) - len(w))))
            if not np.isfinite(w).all():
                raise ValueError(f"waveform {len(out)}: the model's output is not finite")
            mixed = (wet * w + (1.0 - wet) * dry).astype(np.float32)
            out.append(torch.from_numpy(mixed) if isinstance(original, torch.Tensor) else mixed)
        return out[0] if single else out

    @torch.inference_mode()
    def _enhance(self, wavs: list[np.ndarray]) -> list[np.ndarray]:
        """Enhance all pieces of all waveforms in batches and cross-fade them."""
        pieces = [(i, *span) for i, w in enumerate(wavs) for span in cut(len(w), self.segment, self.overlap)]
        out = [np.zeros(len(w), np.float32) for w in wavs]
        for at in range(0, len(pieces), self.batch_size):
            batch = pieces[at : at + self.batch_size]
            lengths = torch.tensor([stop - start for _, start, stop in batch])
            x = torch.zeros(len(batch), max(int(lengths.max()), SHORTEST))
            for row, (i, start, stop) in zip(x, batch, strict=True):
                row[: stop - start] = torch.from_numpy(wavs[i][start:stop])
            y = self._forward(x, lengths.clamp(min=SHORTEST)).cpu().numpy()
            for row, (i, start, stop) in zip(y, batch, strict=True):
                piece = row[: stop - start]
                out[i][start:stop] += piece * fade(start, stop, len(wavs[i]), self.overlap)
        return out

    def _forward(self, x, lengths):
        device = next(self.model.parameters()).device
        x, lengths = x.to(device), lengths.to(device)
        scale = torch.ones(len(x), 1, device=device)
        if self.model.normalize_variance or self.model.normalize_variance_per_ch:
            scale = torch.stack([row[:n].std() for row, n in zip(x, lengths, strict=True)])[:, None]
            scale = scale.clamp(min=1e-8)
        return self.model.forward_enhance(x / scale, lengths, {})[0][0] * scale


def cut(length: int, segment: int, overlap: int) -> list[tuple[int, int]]:
    """Spans of ``segment`` samples that overlap by ``overlap`` and cover ``length`` samples.

    >>> cut(25, 10, 2)
    [(0, 10), (8, 18), (16, 25)]
    """
    starts = range(0, max(length - overlap, 1), segment - overlap) if length > segment else [0]
    return [(start, min(start + segment, length)) for start in starts]


def fade(start: int, stop: int, length: int, overlap: int) -> np.ndarray:
    """Weights of a piece, with linear ramps in the overlaps; the weights of all pieces sum to 1."""
    weight = np.ones(stop - start, np.float32)
    ramp = (np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1)
    if start > 0 and overlap:
        weight[:overlap] = ramp
    if stop < length and overlap:
        weight[-overlap:] *= ramp[::-1]
    return weight


def checkpoint_of(folder: Path, name: str | None = None) -> Path:
    """The checkpoint of an experiment folder: `name`, or the first of `CHECKPOINTS` that exists.

    Raises:
        ValueError: there is none, or a pattern fits several.
    """
    for pattern in CHECKPOINTS if name is None else (name,):
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise ValueError(f"{folder}: which of {', '.join(p.name for p in found)}? Name the checkpoint")
    raise ValueError(
        f"{folder}: no checkpoint; looked for {', '.join(CHECKPOINTS) if name is None else name}"
    )


def _checked(wav, index: int) -> np.ndarray:
    if isinstance(wav, torch.Tensor):
        wav = wav.detach().cpu()
        wav = (wav.float() if wav.is_floating_point() else wav).numpy()
    if not isinstance(wav, np.ndarray):
        raise ValueError(f"waveform {index}: a {type(wav).__name__}; make it an array, np.array(samples)")
    if np.issubdtype(wav.dtype, np.int16):  # of either byte order
        wav = wav / np.float32(32768)
    if wav.ndim != 1 or not np.issubdtype(wav.dtype, np.floating):
        raise ValueError(
            f"waveform {index}: {wav.dtype} {wav.shape}; one channel (T,) is needed, "
            "float in [-1, 1] or int16"
        )
    if not len(wav):
        raise ValueError(f"waveform {index}: empty")
    if not np.isfinite(wav).all():
        raise ValueError(f"waveform {index}: sample {int(np.argmin(np.isfinite(wav)))} is not finite")
    return wav.astype(np.float32)


def _resample(wav: np.ndarray, source: int, target: int) -> np.ndarray:
    if source == target:
        return wav
    import soxr

    return soxr.resample(wav, source, target)
