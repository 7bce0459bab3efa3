"""The encoder of Whisper (arXiv 2212.04356) in PyTorch, with the weights of a CTranslate2 folder.

Weakly supervised, not self-supervised, with absolute sinusoidal positions; available from package registries.
Inputs need not be padded to 30 s: the position table is sliced, and features do not depend on the padding of
the batch.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from espnet_posinv.files import read_json
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.ct2 import read_model
from espnet_posinv.ssl.packing import Packing
from espnet_posinv.ssl.rename import load_renamed
from espnet_posinv.ssl.transformer import Layer, SelfAttention
from espnet_posinv.ssl.transformers import PREPROCESSING

N_FFT, MEL_HOP = 400, 160

RENAMES = (
    (r"position_encodings/encodings", "positions"),
    (r"layer_(\d+)/self_attention/layer_norm/", r"layers/\1/norm1/"),
    (r"layer_(\d+)/self_attention/linear_0/", r"layers/\1/attention/qkv/"),
    (r"layer_(\d+)/self_attention/linear_1/", r"layers/\1/attention/out/"),
    (r"layer_(\d+)/ffn/layer_norm/", r"layers/\1/norm2/"),
    (r"layer_(\d+)/ffn/linear_0/", r"layers/\1/ffn1/"),
    (r"layer_(\d+)/ffn/linear_1/", r"layers/\1/ffn2/"),
    (r"layer_norm/", "norm/"),
    (r"(.*)gamma$", r"\1weight"),
    (r"(.*)beta$", r"\1bias"),
)
# What tells the sizes; load_renamed finds what else is missing.
NEEDED = ("num_heads", "conv1/weight", "layer_0/ffn/linear_0/weight", "position_encodings/encodings")


def mel_filters(bands: int) -> torch.Tensor:
    """Slaney's triangular mel filters with unit area, ``(bands, N_FFT / 2 + 1)``, as Whisper uses them."""
    import librosa

    return torch.from_numpy(librosa.filters.mel(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=bands))


class LogMel(nn.Module):
    """Whisper's input: log10 mel power, floored at 8 below the utterance's maximum, then (x + 4) / 4."""

    filters: torch.Tensor
    window: torch.Tensor

    def __init__(self, bands: int):
        super().__init__()
        self.register_buffer("filters", mel_filters(bands))
        self.register_buffer("window", torch.hann_window(N_FFT))

    def forward(self, wav: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """wav (B, T), zeros after each utterance; valid (B, T // 160) bool or None -> (B, bands, T // 160).

        Whisper reflects the signal at its start and pads its end with zeros (to 30 s).  So does this, so the
        end of an utterance is the same in a longer batch.  Frames outside ``valid`` become 0.
        """
        half = N_FFT // 2
        wav = F.pad(F.pad(wav[:, None], (half, 0), mode="reflect"), (0, half))[:, 0]
        spectrum = torch.stft(wav, N_FFT, MEL_HOP, window=self.window, center=False, return_complex=True)
        power = spectrum[..., :-1].real.square() + spectrum[..., :-1].imag.square()
        mel = (self.filters @ power).clamp(min=1e-10).log10()
        if valid is None:
            return (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
        valid = valid[:, None]
        peak = mel.masked_fill(~valid, -math.inf).amax((1, 2), keepdim=True)
        return ((torch.maximum(mel, peak - 8.0) + 4.0) / 4.0).masked_fill(~valid, 0.0)


class WhisperNetwork(nn.Module):
    """Hidden states of Whisper's encoder: two convolutions, a position table, pre-norm layers, a norm."""

    hop = 2 * MEL_HOP
    min_samples = N_FFT

    def __init__(self, bands: int, dim: int, heads: int, ffn_dim: int, num_layers: int, max_frames: int):
        super().__init__()
        self.num_layers = num_layers
        self.max_samples = max_frames * self.hop
        self.log_mel = LogMel(bands)
        self.conv1 = nn.Conv1d(bands, dim, 3, padding=1)
        self.conv2 = nn.Conv1d(dim, dim, 3, stride=2, padding=1)
        self.register_buffer("positions", torch.zeros(max_frames, dim))
        self.layers = nn.ModuleList(
            Layer(SelfAttention(dim, heads), dim, ffn_dim, pre_norm=True, eps=1e-5) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim)

    def frame_lengths(self, lengths: torch.Tensor) -> torch.Tensor:
        """One frame for every two mel frames, of which a last single one counts."""
        return (lengths // MEL_HOP + 1) // 2

    def states(self, wav, lengths, frames, statistics, dtype, run):
        """Hidden states one after another; see :meth:`Wav2Vec2Network.states`.

        Nothing here is normalised along time, so ``statistics`` has no use.  "conv" is what enters the
        first layer without its positions.
        """
        packed = Packing([n // MEL_HOP for n in lengths], wav.device)
        valid = None if packed.equal else packed.mask
        mel = self.log_mel(wav[:, : max(lengths)], valid)
        x = run(self._convolve, mel.to(dtype), valid, frames)
        yield "conv", x
        x = x + self.positions[frames.positions].to(dtype)
        yield 0, x
        for i, layer in enumerate(self.layers, start=1):
            x = run(layer, x, frames)
            yield i, self.norm(x) if i == self.num_layers else x

    def _convolve(self, mel, valid, frames):
        x = F.gelu(self.conv1(mel))
        if valid is not None:
            # after the end, the second convolution needs the zeros of its own padding
            x = x.masked_fill(~valid[:, None], 0.0)
        return frames.pack(F.gelu(self.conv2(x)).transpose(1, 2))


def load(name: str) -> tuple[WhisperNetwork, dict]:
    """Read the encoder of a folder with a Whisper model.bin; returns the network and its facts.

    Raises:
        ValueError: no such file, a truncated one, or a model that is no Whisper.
    """
    path = Path(name).expanduser() / "model.bin"
    if not path.is_file():
        raise ValueError(f"whisper:{name}: looked for {path}, which does not exist")
    spec, variables = read_model(path)
    if spec != "WhisperSpec":
        raise ValueError(f"whisper:{name}: {path} holds a {spec or 'nameless model'}, not a WhisperSpec")
    prefix = "encoder/"
    state = {k[len(prefix) :]: v for k, v in variables.items() if k.startswith(prefix)}
    lacking = [key for key in NEEDED if key not in state]
    if lacking:
        raise ValueError(f"whisper:{name}: {path} lacks {prefix}{lacking[0]}; fetch it again")
    heads = int(state["num_heads"])
    numbers = {k: torch.from_numpy(v.astype("float32")) for k, v in state.items() if v.ndim > 0}
    dim, bands, _ = numbers["conv1/weight"].shape
    layers = 1 + max(
        int(k.split("/")[0].removeprefix("layer_"))
        for k in numbers
        if k.startswith("layer_") and k[6].isdigit()
    )
    network = WhisperNetwork(
        bands=bands,
        dim=dim,
        heads=heads,
        ffn_dim=numbers["layer_0/ffn/linear_0/weight"].shape[0],
        num_layers=layers,
        max_frames=numbers["position_encodings/encodings"].shape[0],
    )
    numbers |= {f"log_mel/{k}": v for k, v in network.log_mel.state_dict().items()}
    renames = (*RENAMES, ("(.*)", lambda m: m.group(1).replace("/", ".")))
    load_renamed(network, numbers, renames, ignore=r"$^", source=f"whisper:{name}")
    return network, {
        "label": f"Whisper encoder {layers} x {dim} (weakly supervised)",
        "sample_rate": _sampling_rate(path.parent),
        "normalize_input": False,
    }


def _sampling_rate(folder: Path) -> int:
    for name in PREPROCESSING:
        if (folder / name).is_file():
            config = read_json(folder / name)
            return config.get("feature_extractor", config).get("sampling_rate", SAMPLE_RATE)
    return SAMPLE_RATE
