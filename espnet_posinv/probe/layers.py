"""Which layer to compare: two rules of FINALLY (Babaev et al., arXiv 2410.05920, section 3).

In features for a loss, renditions of one sound should form a cluster (clustering rule), and the distance to
clean speech should grow with the noise (SNR rule).
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from espnet_posinv.perturb.noise import active_frames, mix_at_snr
from espnet_posinv.perturb.speed import change_speed
from espnet_posinv.probe.hidden import HiddenStates

VOICES = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2)
SNRS = tuple(range(30, -6, -5))
SOUNDS, DRAWS = 32, 8  # clusters in a draw, each with one member for every voice; random choices of sounds


def sound_clusters(
    encode: HiddenStates, wav: torch.Tensor, *, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Clustering rule: by state, the adjusted Rand index of k-means clusters and sounds.

    FINALLY synthesises the same text in many voices.  Here the voices are real speech at nine speeds, which
    changes pitch and formants (and the position) but not the sound.  The index is 1 if the clusters are the
    sounds, 0 for chance; returns its mean, lowest and highest value over the draws.
    Sounds are instants of active speech in ``wav`` (B, T).
    """
    lengths = torch.full((len(wav),), wav.shape[1])
    spoken = [encode(change_speed(wav, lengths, [v] * len(wav))[0]) for v in VOICES]
    active = np.stack([active_frames(x.numpy(), encode.rate) for x in wav])
    rng = np.random.default_rng([seed, 1])
    labels = np.repeat(np.arange(SOUNDS), len(VOICES))
    found: dict[str, list[float]] = {name: [] for name in encode.names}
    half = encode.layers.min_samples / 2  # the centre of frame i is at i hop + half
    for _ in range(DRAWS):
        where = rng.permutation(np.argwhere(active[:, encode.rate // 4 : -encode.rate // 4]))[:SOUNDS]
        rows, instants = where[:, 0], where[:, 1] + encode.rate // 4
        for name, values in found.items():
            members = [
                s[name][rows, np.rint((instants / v - half) / encode.hop).astype(int)]
                for v, s in zip(VOICES, spoken, strict=True)
            ]
            points = torch.stack(members, 1).flatten(0, 1).numpy()
            guess = KMeans(SOUNDS, n_init=3, random_state=seed).fit_predict(points)
            values.append(adjusted_rand_score(labels, guess))
    return {name: (float(np.mean(v)), min(v), max(v)) for name, v in found.items()}


def noise_monotony(
    encode: HiddenStates, speech: torch.Tensor, noise: torch.Tensor, snrs: Sequence[float] = SNRS
) -> dict[str, dict[str, float | list[float]]]:
    """SNR rule: how a frame's distance from the clean frame grows with the noise, at falling SNRs in dB.

    Returns:
        By state: "spearman", the rank correlation of noise and distance of a frame, mean over frames; and
        "distance", the mean squared distance at each SNR over twice the variance of clean frames (1: as far
        as two unrelated frames).
    """
    clean = encode(speech)
    distances: dict[str, list[torch.Tensor]] = {name: [] for name in encode.names}
    for snr in snrs:
        mixtures = [mix_at_snr(x.numpy(), n.numpy(), snr) for x, n in zip(speech, noise, strict=True)]
        noisy = encode(torch.from_numpy(np.stack([m.mix / np.float32(m.gain) for m in mixtures])))
        for name, y in noisy.items():
            distances[name].append((y - clean[name]).square().sum(-1).flatten())
    ideal = rankdata(np.arange(len(snrs)))
    ideal = (ideal - ideal.mean()) / ideal.std()
    result = {}
    for name, values in distances.items():
        table = torch.stack(values).double().numpy()  # (SNRs, frames)
        ranks = rankdata(table, axis=0)
        spread = ranks.std(0)
        ranks = (ranks - ranks.mean(0)) / np.where(spread > 0, spread, 1)
        scale = 2 * clean[name].flatten(0, 1).var(0).sum().item()
        result[name] = {
            "spearman": float((ideal @ ranks / len(snrs)).mean()),
            "distance": (table.mean(1) / scale).tolist(),
        }
    return result


def speech_shaped_noise(wav: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Stationary noise with each row's spectrum and power: (B, T) with its phases drawn anew."""
    rng = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft(wav)
    phase = 2 * np.pi * torch.rand(spectrum.shape, generator=rng)
    noise = torch.fft.irfft(torch.polar(spectrum.abs(), phase), n=wav.shape[1])
    return noise * (wav.square().mean(1, keepdim=True) / noise.square().mean(1, keepdim=True)).sqrt()
