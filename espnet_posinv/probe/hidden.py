"""Hidden states of a frozen encoder by name, and segments of speech as its input."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.perturb.noise import active_level
from espnet_posinv.perturb.padding import pad
from espnet_posinv.ssl import load_encoder

BATCH = 8  # utterances that are encoded at once
READ = 3600.0  # seconds read of a larger corpus, at random
LEVEL = -26.0  # dBFS over active speech, for encoders without input normalisation
States = dict[str, torch.Tensor]


class HiddenStates:
    """Every hidden state of an encoder: ``{"conv": (B, N, C), "0": (B, N, D), "1": ..., ...}``.

    "conv" is the convolutional front end, "0" the input of the first layer, with position embeddings.

    Args:
        upstream: see :func:`espnet_posinv.ssl.load_encoder`.
        device: of the encoder; inputs are moved there, states are returned on the CPU.
    """

    def __init__(self, upstream: str, device: str = "cpu"):
        self.upstream, self.device = upstream, torch.device(device)
        self.layers = load_encoder(upstream, layers="all").to(self.device)
        self.front = load_encoder(upstream, layers="conv").to(self.device)
        self.label, self.hop, self.rate = self.layers.label, self.layers.hop, self.layers.sample_rate
        self.names = ["conv", *map(str, self.layers.layers)]

    @torch.no_grad()
    def __call__(self, wav: torch.Tensor, before: int = 0, after: int = 0) -> States:
        """States of ``wav`` (B, T), without padding, with `before` and `after` hops of silence around it.

        Normalisations along time use the utterance only, and the frames of the silence are removed, so the
        silence changes nothing but position and context.
        """
        parts = [self._encode(x, before, after) for x in wav.split(BATCH)]
        return {name: torch.cat([part[name] for part in parts]) for name in self.names}

    def _encode(self, wav, before, after):
        wav = wav.to(self.device)
        lengths = torch.full((len(wav),), wav.shape[1], device=self.device)
        left, right = torch.full_like(lengths, before * self.hop), torch.full_like(lengths, after * self.hop)
        padded, padded_lengths = pad(wav, lengths, left, right)
        frames = int(self.layers.frame_lengths(lengths[:1]))
        statistics = (left, left + lengths)
        feats = self.layers(padded, padded_lengths, statistics)[0][:, before : before + frames]
        front = self.front(padded, padded_lengths, statistics)[0][:, before : before + frames]
        # The encoder scales layers by the square roots of their weights
        states = (
            s / w**0.5 for s, w in zip(feats.chunk(len(self.names) - 1, -1), self.layers.weights, strict=True)
        )
        return {"conv": front.cpu()} | {n: s.cpu() for n, s in zip(self.names[1:], states, strict=True)}


def read_speech(data: str | Path, rate: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Clean speech of a data directory by utterance id, `(T,)` float32, and its noise where there is any.

    Speech is ``spk1.scp``, or ``wav.scp`` without it; noise is the mixture minus the speech. Utterances are
    read in a fixed random order, up to `READ` seconds.

    Raises:
        DataError: nothing there, another sample rate, several channels, unequal lengths.
    """
    mixtures = read_scp(Path(data) / "wav.scp")
    clean = mixtures
    if (Path(data) / "spk1.scp").exists():
        clean = read_scp(Path(data) / "spk1.scp")
    missing = sorted(set(mixtures) - set(clean))
    if missing:
        raise DataError(f"{data}/spk1.scp: {len(missing)} utterances of wav.scp are missing, as {missing[0]}")
    speech, noise, total = {}, {}, 0
    for key in np.random.default_rng(0).permutation(sorted(mixtures)).tolist():
        speech[key] = mixture = read_mono(clean[key], rate, utterance=key).astype(np.float32)
        if clean is not mixtures:
            mixture = read_mono(mixtures[key], rate, utterance=key).astype(np.float32)
        if len(mixture) != len(speech[key]):
            raise DataError(
                f"{data}: {key} has {len(mixture)} samples in wav.scp and {len(speech[key])} in spk1.scp"
            )
        noise[key] = mixture - speech[key]
        total += len(mixture)
        if total >= READ * rate:
            break
    return speech, noise if any(np.abs(n).max() > 1e-4 for n in noise.values()) else None


def stationary_crops(
    signals: Sequence[Mapping[str, np.ndarray]], samples: int, count: int, seed: int = 0
) -> list[torch.Tensor]:
    """`count` segments of equal length whose content has the same distribution at every position.

    An utterance begins and ends with silence, so its content alone would predict the position.  Here whole
    utterances form a loop of at least `samples`, and a segment starts at a random point of it.  So only the
    encoder can make a frame depend on its index.  No utterance is in two segments.

    Args:
        signals: speech by utterance id, then signals to cut in the same way (noise), same ids and lengths.

    Returns:
        For each of `signals` a tensor (count, samples), all scaled so that the speech is at -26 dBFS; fewer
        segments if there is not enough speech.

    Raises:
        DataError: not enough speech for two segments.
    """
    rng = np.random.default_rng([seed, 0])
    speech = signals[0]
    crops: list[list[np.ndarray]] = []
    loop: list[str] = []
    for key in rng.permutation(sorted(speech)):
        loop.append(key)
        total = sum(len(speech[k]) for k in loop)
        if total < samples:
            continue
        start = int(rng.integers(total))
        cut = [np.roll(np.concatenate([s[k] for k in loop]), -start)[:samples] for s in signals]
        loop = []
        if np.abs(cut[0]).max() > 0.01:  # a segment of silence has no level
            gain = np.float32(10 ** ((LEVEL - active_level(cut[0])) / 20))
            crops.append([c * gain for c in cut])
        if len(crops) == count:
            break
    if len(crops) < 2:
        raise DataError(
            f"{len(speech)} utterances do not fill two segments of {samples} samples; give more speech"
        )
    return [torch.from_numpy(np.stack(c)) for c in zip(*crops, strict=True)]
