"""Is one system better than another on the same utterances? Two tests of the paired error counts.

Both use ``d_i = errors of the system - errors of the baseline`` in utterance i and assume that utterances are
independent. They complement the paired bootstrap interval of ``bootstrap.py``.
"""

import math
from collections.abc import Sequence

import numpy as np

FEW = 20  # with fewer differing utterances the normal approximation is not used


def matched_pairs(errors: Sequence[float], baseline: Sequence[float]) -> dict:
    """Matched-pairs test of Gillick and Cox (ICASSP 1989), each utterance being a segment.

    ``Z = mean(d) / (std(d) / sqrt(n))`` is compared with the normal distribution, two-sided; std with n - 1.
    If fewer than `FEW` utterances differ, p is that of :func:`permutation`, which is exact. NIST's sc_stats
    (MAPSSWE) divides utterances into segments at words that both systems recognised; whole utterances need no
    alignment and no independence within them.

    Returns:
        ``{"mean", "z", "p", "exact", "utterances"}``; mean is that of d. Equal errors everywhere give p = 1.

    Raises:
        ValueError: fewer than two utterances, or lengths differ.
    """
    d = _differences(errors, baseline)
    spread = d.std(ddof=1)
    if spread == 0:  # equal differences in all utterances
        z = 0.0 if d[0] == 0 else math.copysign(math.inf, d[0])
    else:
        z = float(d.mean() / (spread / math.sqrt(len(d))))
    few = int(np.count_nonzero(d)) < FEW
    return {
        "mean": float(d.mean()),
        "z": z if math.isfinite(z) else None,
        "p": _sign_flips(d) if few or math.isinf(z) else math.erfc(abs(z) / math.sqrt(2)),
        "exact": few or math.isinf(z),
        "utterances": len(d),
    }


def permutation(errors: Sequence[int], baseline: Sequence[int]) -> dict:
    """Paired permutation test (Fisher; Edgington, Randomization Tests).

    If the systems were equal, d_i and -d_i would be equally likely. p is the share of all sign patterns whose
    \\|sum(d)\\| reaches the observed one, exact for any number of utterances.

    Returns:
        ``{"p", "exact", "differing"}``, the last being the number of utterances with d != 0.

    Raises:
        ValueError: as :func:`matched_pairs`, or errors that are not whole numbers.
    """
    d = _differences(errors, baseline)
    return {"p": _sign_flips(d), "exact": True, "differing": int(np.count_nonzero(d))}


def _sign_flips(d: np.ndarray) -> float:
    """P(|sum of +-d_i| >= |sum of d_i|), from the exact distribution of the sum, a convolution."""
    steps = np.abs(d[d != 0])
    if (steps != np.round(steps)).any():
        raise ValueError("numbers of errors must be whole")
    chances = np.ones(1)  # of the sums -reach, ..., reach
    for step in steps.astype(int):
        chances = (np.pad(chances, (0, 2 * step)) + np.pad(chances, (2 * step, 0))) / 2
    reach, observed = len(chances) // 2, abs(int(d.sum()))
    return float(min(1.0, 2 * chances[reach + observed :].sum())) if observed else 1.0


def _differences(errors: Sequence[float], baseline: Sequence[float]) -> np.ndarray:
    errors, baseline = np.asarray(errors, dtype=float), np.asarray(baseline, dtype=float)
    if errors.shape != baseline.shape or errors.ndim != 1 or len(errors) < 2:
        raise ValueError(
            f"paired tests need the errors of the same 2 utterances or more, not shapes {errors.shape} and "
            f"{baseline.shape}"
        )
    return errors - baseline
