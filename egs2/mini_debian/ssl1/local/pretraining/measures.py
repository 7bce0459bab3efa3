"""How good a frozen encoder's features are: error rates of simple recognisers on them, and effect of noise.

Character error rate of a linear CTC layer; ABX error of words across speakers; distance to the clean features
as noise grows.
"""

from collections.abc import Callable, Iterable

import jiwer
import librosa
import numpy as np
import torch
from torch.nn.functional import ctc_loss, log_softmax, normalize

from espnet_posinv.perturb.noise import NoiseCutter, mix_at_snr

CTC_STEPS = 400  # of Adam, 32 utterances each
ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
Features = Callable[[np.ndarray], dict[str, torch.Tensor]]


def with_context(y: torch.Tensor) -> torch.Tensor:
    """Each frame of `(N, D)` beside its three neighbours left and right: `(N, 7 D)`."""
    return torch.cat([y[:1].expand(3, -1), y, y[-1:].expand(3, -1)]).unfold(0, 7, 1).flatten(1)


def ctc_cer(train: list[tuple[torch.Tensor, str]], test: list[tuple[torch.Tensor, str]]) -> float:
    """Character error rate of a linear layer on frozen features, trained with CTC, decoded greedily.

    Args:
        train: features `(N, D)` and text in lower-case letters, apostrophes and spaces.
        test: the same, of other sentences.
    """
    mean = torch.cat([f for f, _ in train]).mean(0)
    std = torch.cat([f for f, _ in train]).std(0).clamp_min(1e-5)
    dim = train[0][0].shape[1]
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(dim, len(ALPHABET) + 1, generator=generator) / dim**0.5).requires_grad_()
    bias = torch.zeros(len(ALPHABET) + 1, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=CTC_STEPS)
    data = [
        ((f - mean) / std, torch.tensor([ALPHABET.index(c) + 1 for c in text]))
        for f, text in train
        if len(f) > 1.2 * len(text)  # CTC needs a frame a character and one more between equal ones
    ]
    for _ in range(CTC_STEPS):
        batch = [data[i] for i in torch.randint(len(data), (32,), generator=generator)]
        frames = torch.nn.utils.rnn.pad_sequence([f for f, _ in batch])
        logits = log_softmax(frames @ weight + bias, -1)
        loss = ctc_loss(
            logits,
            torch.cat([t for _, t in batch]),
            torch.tensor([len(f) for f, _ in batch]),
            torch.tensor([len(t) for _, t in batch]),
            zero_infinity=True,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    read = []
    for f, _ in test:
        best = (((f - mean) / std) @ weight + bias).argmax(1)
        best = torch.unique_consecutive(best)
        read.append("".join(ALPHABET[i - 1] for i in best.tolist() if i > 0).strip())
    return jiwer.cer([text for _, text in test], read)


def word_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """Dynamic-time-warping distance of `(N, D)` and `(M, D)`: mean cosine distance along the best path."""
    cost = (1 - normalize(x, dim=1) @ normalize(y, dim=1).T).double().numpy()
    total, path = librosa.sequence.dtw(C=cost)
    return float(total[-1, -1] / len(path))


def abx_error(words: dict[str, dict[str, torch.Tensor]]) -> tuple[float, int]:
    """Share of triples (A, B, X) in which X is no nearer to A, the same word, than to B, another word.

    A and B are of one speaker and X of another, so following the voice does not help; chance is 0.5.

    Args:
        words: `{speaker: {word: features (N, D)}}`; pairs of speakers are compared on the words both have.

    Returns:
        The error, ties counting half, and the number of triples.
    """
    wrong, count = 0.0, 0
    for one in words:
        for other in words:
            shared = sorted(set(words[one]) & set(words[other])) if one != other else []
            for x in shared:
                distances = {a: word_distance(words[one][a], words[other][x]) for a in shared}
                for b in shared:
                    if b != x:
                        wrong += 0.5 * (distances[b] == distances[x]) + (distances[b] < distances[x])
                        count += 1
    return wrong / count, count


def noise_distances(
    features: Features, utterances: list[np.ndarray], noises: list[np.ndarray], snrs: Iterable[float]
) -> dict[str, list[float]]:
    """Mean squared distance of noisy from clean features over twice their variance, per SNR.

    1 means: as far as two unrelated frames of the clean speech are from one another on average.
    """
    clean = [features(x) for x in utterances]
    scale = {k: 2 * torch.cat([c[k] for c in clean]).var(0).sum().item() for k in clean[0]}
    result: dict[str, list[float]] = {k: [] for k in scale}
    for snr in snrs:
        sums, count = dict.fromkeys(scale, 0.0), 0
        for i, x in enumerate(utterances):
            # The same piece of noise at every SNR
            noise = NoiseCutter(np.random.default_rng(i)).cut(noises[i % len(noises)], len(x))
            mixture = mix_at_snr(x, noise, snr)
            noisy = features(mixture.mix / np.float32(mixture.gain))
            for k, y in noisy.items():
                sums[k] += (y - clean[i][k]).square().sum().item()
            count += len(noisy[next(iter(scale))])
        for k in scale:
            result[k].append(sums[k] / count / scale[k])
    return result
