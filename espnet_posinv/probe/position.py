"""How much a frame depends on its position: three measures on the hidden states of a frozen encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import t as student

from espnet_posinv.probe.hidden import HiddenStates, States

FOLDS = 4  # of the cross-validation of a prediction
RIDGE = 1e-3  # weight of the penalty, relative to the features' mean variance


def read_out(x: torch.Tensor, folds: int = FOLDS, seed: int = 0) -> dict[str, tuple[float, float, float]]:
    """R^2 of a linear prediction of the frame index from one frame, on held-out utterances of x (U, N, D).

    Returns:
        ``{"r2": ..., "shuffled": ...}``, each (mean, lowest, highest) over the folds.  "shuffled" is a
        control with the frames of each utterance in random order; its expected value is 0 or below.

    Raises:
        ValueError: fewer than two utterances for each fold.
    """
    if len(x) < 2 * folds:
        raise ValueError(f"{len(x)} utterances: {folds} folds need {2 * folds} or more")
    rng = torch.Generator().manual_seed(seed)
    mixed = torch.stack([y[torch.randperm(len(y), generator=rng)] for y in x])
    result = {}
    for name, y in (("r2", x), ("shuffled", mixed)):
        values = []
        for fold in range(folds):
            held = torch.arange(len(y)) % folds == fold
            values.append(position_r2(list(y[~held]), list(y[held])))
        result[name] = (float(np.mean(values)), min(values), max(values))
    return result


def position_r2(train: list[torch.Tensor], test: list[torch.Tensor]) -> float:
    """Share of the variance of the frame index that a linear function of the frame explains, on `test`.

    Frames are `(N, D)` for each utterance, all of one length.
    """
    frames = len(train[0])
    index = torch.arange(frames, dtype=torch.float64) / frames
    x, y = torch.cat(train).double(), index.repeat(len(train))
    mean = x.mean(0)
    x = x - mean
    gram = x.T @ x
    gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    w = torch.linalg.solve(gram, x.T @ (y - y.mean()))
    predicted = (torch.cat(test).double() - mean) @ w + y.mean()
    truth = index.repeat(len(test))
    return float(1 - (predicted - truth).square().sum() / (truth - truth.mean()).square().sum())


@dataclass
class IndexDistances:
    """Mean squared distances of frames of different utterances, by the difference of their indices.

    Args:
        lags: (N,) mean over pairs of utterances and frames with ``|i - j|`` = 0, 1, ...
        same: at one index.
        other: at indices `gap` or more apart.
        ratio: same / other; 1 - ratio is the share of the distance that is position.
        low, high: 95 % interval of the ratio, jackknife over utterances.
    """

    lags: list[float]
    same: float
    other: float
    ratio: float
    low: float
    high: float


def index_distances(x: torch.Tensor, gap: int) -> IndexDistances:
    """Distances of frames of different utterances at equal and at other indices.

    Sums over pairs of utterances come from sums over utterances: with s_j = sum_v x_vj,
    ``sum_{v != u} ||x_ui - x_vj||^2 = (U - 1) ||x_ui||^2 + sum_{v != u} ||x_vj||^2 - 2 x_ui . (s_j - x_uj)``.

    Args:
        x: (U, N, D) states of U different utterances.
        gap: smallest difference of indices, in frames, that counts as another index.

    Raises:
        ValueError: fewer than three utterances, or a gap that is not below the number of frames.
    """
    count, frames, _ = x.shape
    if count < 3 or not 0 < gap < frames:
        raise ValueError(f"{count} utterances of {frames} frames, gap {gap}: 3 or more, gap below the frames")
    x = x - x.mean((0, 1))  # distances stay, float32 gains precision
    norms = x.square().sum(-1)
    total, norm_total = x.sum(0), norms.sum(0)
    lag = (torch.arange(frames)[:, None] - torch.arange(frames)).abs()
    cells = torch.bincount(lag.flatten()).double()
    sums = torch.zeros(count, frames, dtype=torch.float64)  # of u's distances to all others, by lag
    for u in range(count):
        square = (count - 1) * norms[u][:, None] + (norm_total - norms[u]) - 2 * x[u] @ (total - x[u]).T
        sums[u] = torch.bincount(lag.flatten(), weights=square.double().flatten(), minlength=frames)
    same, other = sums[:, 0] / cells[0], sums[:, gap:].sum(1) / cells[gap:].sum()
    # Without utterance u, each of its pairs is gone from both ends
    left_out = ((same.sum() - 2 * same) / (other.sum() - 2 * other)).numpy()
    error = ((count - 1) / count * np.square(left_out - left_out.mean()).sum()) ** 0.5
    half = student.ppf(0.975, count - 1) * error
    ratio = float(same.sum() / other.sum())
    pairs = count * (count - 1)
    return IndexDistances(
        (sums.sum(0) / cells / pairs).tolist(),
        float(same.sum() / pairs),
        float(other.sum() / pairs),
        ratio,
        float(ratio - half),
        float(ratio + half),
    )


def shift_changes(
    encode: HiddenStates, wav: torch.Tensor, states: States, other: dict[str, float], hops: Sequence[int]
) -> dict[str, dict[str, list[float]]]:
    """Change of a frame when its content is moved by `hops` frames, over the distance of unrelated frames.

    Silence before the speech moves the content.  The silence is also new context, so a control has the same
    silence after the speech, which does not move the content.

    Args:
        states: of ``wav`` (B, T).
        other: mean squared distance of frames of different utterances, by state.

    Returns:
        ``{state: {"before": [one per shift], "after": [...]}}``.
    """
    result = {name: {"before": [], "after": []} for name in encode.names}
    for k in hops:
        for side in ("before", "after"):
            for name, moved in encode(wav, **{side: k}).items():
                change = (moved - states[name]).square().sum(-1).mean().item()
                result[name][side].append(change / other[name])
    return result
