"""Is one system better than another on the same utterances? Two tests of the paired error counts.

Both look at ``d_i = errors of the system - errors of the baseline`` in utterance i and take utterances as
independent of each other. They complement the paired bootstrap interval of ``bootstrap.py``.
"""

import math
from collections.abc import Sequence

import numpy as np

EXACT = 14  # utterances that differ, up to which all sign patterns are counted


def matched_pairs(errors: Sequence[float], baseline: Sequence[float]) -> dict:
    """Matched-pairs test of Gillick and Cox (ICASSP 1989), each utterance being a segment.

    ``Z = mean(d) / (std(d) / sqrt(n))`` is compared with the normal distribution, two-sided; std with n - 1.
    NIST's sc_stats (MAPSSWE) cuts utterances into more segments, at words that both systems got right; an
    utterance as a whole needs no alignment and no independence within it.

    Args:
        errors: (n,) errors of the system by utterance.
        baseline: (n,) those of the baseline, same utterances in the same order.

    Returns:
        ``{"mean", "z", "p", "utterances"}``; mean is that of d. Equal errors everywhere give p = 1.

    Raises:
        ValueError: fewer than two utterances, or lengths differ.
    """
    d = _differences(errors, baseline)
    spread = d.std(ddof=1)
    if spread == 0:  # the same difference everywhere: none, or one without any doubt
        z = 0.0 if d[0] == 0 else math.copysign(math.inf, d[0])
    else:
        z = float(d.mean() / (spread / math.sqrt(len(d))))
    return {
        "mean": float(d.mean()),
        "z": z if math.isfinite(z) else None,
        "p": math.erfc(abs(z) / math.sqrt(2)),
        "utterances": len(d),
    }


def permutation(
    errors: Sequence[float], baseline: Sequence[float], *, samples: int = 10000, seed: int = 0
) -> dict:
    """Paired permutation test: if the systems were alike, each d_i could as well be -d_i.

    p is the share of sign patterns whose \\|sum(d)\\| reaches the observed one: of all patterns where at most
    `EXACT` utterances differ, else of `samples` random ones with the observed one counted in, so that
    p >= 1 / (samples + 1) (Edgington, Randomization Tests; Phipson and Smyth 2010, arXiv 1603.05766).

    Args:
        errors, baseline: as in :func:`matched_pairs`.
        samples: random patterns.
        seed: of their generator.

    Returns:
        ``{"p", "exact", "differing"}``, the last being the number of utterances with d != 0.
    """
    d = _differences(errors, baseline)
    d = d[d != 0]
    observed = abs(d.sum()) * (1 - 1e-12)  # sums of the same terms in another order must count as reached
    if len(d) <= EXACT:
        signs = 1 - 2 * (np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1)
        p = float((np.abs(signs @ d) >= observed).mean())
        return {"p": p, "exact": True, "differing": len(d)}
    generator = np.random.default_rng(seed)
    reached = 0
    for start in range(0, samples, 1000):
        signs = generator.choice((-1.0, 1.0), size=(min(1000, samples - start), len(d)))
        reached += int((np.abs(signs @ d) >= observed).sum())
    return {"p": (reached + 1) / (samples + 1), "exact": False, "differing": len(d)}


def _differences(errors: Sequence[float], baseline: Sequence[float]) -> np.ndarray:
    errors, baseline = np.asarray(errors, dtype=float), np.asarray(baseline, dtype=float)
    if errors.shape != baseline.shape or errors.ndim != 1 or len(errors) < 2:
        raise ValueError(
            f"paired tests need the errors of the same 2 utterances or more, not shapes {errors.shape} and "
            f"{baseline.shape}"
        )
    return errors - baseline
