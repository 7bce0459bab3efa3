"""Confidence intervals by resampling utterances with replacement (Bisani and Ney, ICASSP 2004).

A resample draws n of n utterances with replacement; its rate is the sum of its errors over the sum of its
words. The numbers of copies of the utterances are multinomial, so a resample is a vector of weights, and all
rates are two matrix products. Differences between systems use the same weights for both (paired), so that the
common difficulty of an utterance cancels.
"""

import functools
from collections.abc import Iterator, Sequence

import numpy as np

LEVEL = (2.5, 97.5)  # per cent
SAMPLES, SEED = 10000, 0
_BLOCK = 5_000_000  # weights held at once


def rate_interval(
    errors: Sequence[float], words: Sequence[float], *, samples: int = SAMPLES, seed: int = SEED
) -> tuple[float, float, float]:
    """Pooled rate ``sum(errors) / sum(words)`` and its 95 % interval, from `samples` resamples.

    Args:
        errors: (n,) errors of each utterance; for a mean of metric values, the values.
        words: (n,) words of each utterance; for a mean, ones.

    Raises:
        ValueError: lengths differ, values are not finite, or there are no words.
    """
    errors, words = checked(errors, words)
    rates = _rates(errors[:, None], words, samples, seed)[:, 0]
    return errors.sum() / words.sum(), *np.percentile(rates, LEVEL)


def difference_interval(
    errors: Sequence[float], baseline: Sequence[float], words: Sequence[float]
) -> tuple[float, float, float]:
    """``rate(errors) - rate(baseline)`` on the same utterances, and its paired 95 % interval.

    The difference is significant at 5 % if both ends of the interval have the same sign.
    """
    errors, words = checked(errors, words)
    baseline, _ = checked(baseline, words)
    rates = _rates(np.stack([errors, baseline], 1), words, SAMPLES, SEED)
    difference = rates[:, 0] - rates[:, 1]
    return (errors.sum() - baseline.sum()) / words.sum(), *np.percentile(difference, LEVEL)


def _rates(errors: np.ndarray, words: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Rates (samples, systems) of resampled sets; errors (n, systems), words (n,)."""
    rates = []
    for weights in _weights(len(words), samples, seed):
        denominator = weights @ words
        # A resample without words has no rate; it occurs only if most utterances are empty.
        kept = denominator > 0
        rates.append((weights @ errors)[kept] / denominator[kept, None])
    return np.concatenate(rates)


def _weights(n: int, samples: int, seed: int) -> Iterator[np.ndarray]:
    size = max(1, _BLOCK // n)
    for k, start in enumerate(range(0, samples, size)):
        yield _block(n, min(size, samples - start), seed, k)


@functools.lru_cache(maxsize=8)
def _block(n: int, size: int, seed: int, k: int) -> np.ndarray:
    """Weights (size, n); cached, since a report uses the same test sets repeatedly."""
    generator = np.random.default_rng([seed, k])
    return generator.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float32)


def checked(errors: Sequence[float], words: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Errors and words as arrays.

    Raises:
        ValueError: see :func:`rate_interval`.
    """
    errors, words = np.asarray(errors, dtype=float), np.asarray(words, dtype=float)
    if errors.shape != words.shape or errors.ndim != 1:
        raise ValueError(f"one value an utterance is needed, not shapes {errors.shape} and {words.shape}")
    if not (np.isfinite(errors).all() and np.isfinite(words).all()):
        raise ValueError("errors and words must be finite")
    if words.sum() <= 0:
        raise ValueError(f"the {len(words)} utterances hold no word; a rate is undefined")
    return errors, words
