"""How fast fine-tunings converge: updates and seconds to a fraction of the gain, with intervals.

Curves need not be monotone, so these definitions are used:

- The *gain* of a system is the improvement of its last checkpoint over the initial model. The best checkpoint
  is shown too, but it is selected on these data, so the gain does not use it.
- A level is *reached* at the first update from which all later checkpoints are at this level or better
  (linear interpolation between checkpoints). The first time at this level is shown too, if earlier.
- Two levels: a fraction of the system's own gain, which a system with a small gain reaches soon, and a
  fraction of the baseline's gain, which is one level for all.

Intervals come from resampling utterances and seeds with replacement, the same for all systems (paired).
"""

from dataclasses import dataclass

import numpy as np

from espnet_posinv.convergence.measure import Measured
from espnet_posinv.criterions import CLASSES
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.systems import System, baseline_of
from espnet_posinv.scoring.bootstrap import LEVEL

LABELS = {
    "wer": "WER, %",
    "si_sdr": "SI-SDR, dB",
    "estoi": "ESTOI",
    "pesq": "PESQ",
    "dnsmos_ovrl": "DNSMOS overall",
    **{name: f"{name} loss" for name in CLASSES},
}
LOWER = {"wer", *CLASSES}  # lower is better
NEVER = np.inf
Interval = tuple[float, float, float]


@dataclass
class Curve:
    """One measure of one system: its values at each checkpoint, for each seed and utterance."""

    updates: np.ndarray  # (E,) of each checkpoint, beginning with 0
    seconds: np.ndarray  # (S, E) spent in updates up to each checkpoint, by seed
    errors: np.ndarray  # (S, E, U); the value is the sum over utterances, divided by that of `weights`
    weights: np.ndarray  # (U,) words for WER (in per cent: words / 100), else ones

    def by_seed(self) -> np.ndarray:
        """(S, E) values."""
        return self.errors.sum(2) / self.weights.sum()

    def resampled(self, seeds: np.ndarray, utterances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and seconds (R, E) of resamples: copies of each seed (R, S) and of each utterance (R, U)."""
        total = utterances @ self.weights
        share = seeds / seeds.sum(1, keepdims=True)
        pooled = np.einsum("rs,seu,ru->re", share, self.errors, utterances, optimize=True)
        return pooled / total[:, None], share @ self.seconds


def curves(measured: Measured, systems: dict[str, System]) -> tuple[list[str], dict[str, dict[str, Curve]]]:
    """Combine the seeds of each system.

    Returns:
        The seeds, and ``{measure: {system: Curve}}``. An utterance with an undefined value of a signal metric
        at any checkpoint is left out of that metric.

    Raises:
        DataError: systems have different seeds, or the seeds of a system different numbers of updates.
    """
    members = {name: [training.name for training in system.trainings] for name, system in systems.items()}
    seeds = {name: [m.removeprefix(f"{name}_seed") for m in found] for name, found in members.items()}
    if len(set(map(tuple, seeds.values()))) > 1:
        shown = "; ".join(f"{system}: {' '.join(numbers)}" for system, numbers in seeds.items())
        raise DataError(
            f"seeds differ, but a paired comparison needs equal ones ({shown}); name the experiments"
        )
    for names in members.values():
        updates = {name: [point.updates for point, _ in measured[name]] for name in names}
        if len(set(map(tuple, updates.values()))) > 1:
            raise DataError(
                f"checkpoints after different updates: {updates}; train them alike, or leave one out"
            )
    utterances = sorted(next(iter(measured.values()))[0][1])
    every = [scores for points in measured.values() for _, scores in points]
    names = ["wer", *(key for key in every[0][utterances[0]] if key not in "SDIN")]
    table: dict[str, dict[str, Curve]] = {}
    for name in names:
        kept = [
            u for u in utterances if name == "wer" or all(scores[u][name] is not None for scores in every)
        ]
        if not kept:
            continue
        for system, runs in ((system, [measured[m] for m in found]) for system, found in members.items()):
            errors = [[[_value(scores[u], name) for u in kept] for _, scores in run] for run in runs]
            first = runs[0][0][1]
            weights = [first[u]["N"] / 100 if name == "wer" else 1.0 for u in kept]
            table.setdefault(name, {})[system] = Curve(
                updates=np.array([point.updates for point, _ in runs[0]], float),
                seconds=np.array([[point.seconds for point, _ in run] for run in runs]),
                errors=np.array(errors, float),
                weights=np.array(weights),
            )
    return next(iter(seeds.values())), table


def _value(row: dict, name: str) -> float:
    return row["S"] + row["D"] + row["I"] if name == "wer" else row[name]


def reached(x: np.ndarray, y: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where curves reach a level finally, and where they first touch it; `NEVER` if they do not.

    Args:
        x: (R, E) ascending, or (E,).
        y: (R, E), higher is better; between checkpoints the curve is a straight line.
        level: (R,).
    """
    x = np.broadcast_to(x, y.shape)
    below = y < level[:, None]
    count, last = y.shape[0], y.shape[1] - 1
    rows = np.arange(count)

    def crossing(k: np.ndarray) -> np.ndarray:
        """On the line from checkpoint k, below the level, to k + 1, not below it."""
        k = np.clip(k, 0, last - 1)
        y0, y1, x0, x1 = y[rows, k], y[rows, k + 1], x[rows, k], x[rows, k + 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            return x0 + (level - y0) / (y1 - y0) * (x1 - x0)

    begun = ~below[:, 0]
    last_below = last - below[:, ::-1].argmax(1)
    settled = np.where(below[:, last], NEVER, np.where(below.any(1), crossing(last_below), x[:, 0]))
    touched = np.where(begun, x[:, 0], np.where(below.all(1), NEVER, crossing((~below).argmax(1) - 1)))
    return settled, touched


@dataclass
class Summary:
    """One measure of one system; times are `NEVER` if not reached, None without a clear gain."""

    measure: str
    system: str
    start: float
    end: float
    gain: Interval
    best: tuple[float, float]  # value, updates
    own: dict[str, Interval] | None  # "updates" and "seconds" to the fraction of its own gain
    touched: float  # updates to the first time at that level
    common: dict[str, Interval] | None  # to the fraction of the baseline's gain
    baseline: str
    earlier: float | None  # share of resamples in which it is earlier than the baseline; ties count half


def summarise(
    table: dict[str, dict[str, Curve]],
    systems: dict[str, System],
    fraction: float = 0.9,
    *,
    samples: int = 2000,
) -> list[Summary]:
    """Gains and times of every measure and system.

    The baseline of each system is that with ssl_mse through the same encoder, else the first.

    Args:
        fraction: of the gain that counts as converged, in (0, 1].
        samples: number of resamples.

    Raises:
        DataError: `fraction` is no fraction.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"fraction {fraction}: must be above 0 and at most 1")
    rows = []
    first = next(iter(systems.values()))
    baselines = {n: (baseline_of(s, systems.values()) or first).name for n, s in systems.items()}
    for measure, by_system in table.items():
        sign = -1.0 if measure in LOWER else 1.0
        draws = {
            system: _draw(curve, sign, samples, np.random.default_rng([0, 1]))
            for system, curve in by_system.items()
        }
        gains = {system: _interval(y[:, -1] - y[:, 0]) for system, (_, y, _) in draws.items()}
        for system, (updates, y, seconds) in draws.items():
            baseline = baselines[system]
            own = common = earlier = None
            touched = NEVER
            if gains[system][1] > 0:
                level = y[:, 0] + fraction * (y[:, -1] - y[:, 0])
                own = _times(updates, seconds, y, level)
                touched = reached(updates, y, level)[1][0]
            if gains[baseline][1] > 0:
                reference = draws[baseline][1]
                level = reference[:, 0] + fraction * (reference[:, -1] - reference[:, 0])
                common = _times(updates, seconds, y, level)
                if system != baseline:
                    here, there = (
                        reached(draws[name][0], draws[name][1], level)[0][1:] for name in (system, baseline)
                    )
                    earlier = float(np.mean((here < there) + 0.5 * (here == there)))
            best = int(y[0].argmax())
            start, end, peak = (float(sign * y[0, k]) for k in (0, -1, best))
            peak = (peak, float(updates[best]))
            gain = gains[system]
            times = {"own": own, "touched": touched, "common": common, "earlier": earlier}
            rows.append(Summary(measure, system, start, end, gain, peak, baseline=baseline, **times))
    return rows


def _draw(curve: Curve, sign: float, samples: int, rng: np.random.Generator):
    """Updates (E,), and values and seconds (1 + R, E) of the data itself and of R resamples.

    With equal generators, all systems get the same resamples of seeds and utterances.
    """
    seeds, _, utterances = curve.errors.shape
    s = np.vstack([np.ones(seeds), rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=samples)])
    u = rng.multinomial(utterances, np.full(utterances, 1 / utterances), size=samples)
    u = u[u @ curve.weights > 0]  # a resample without a word has no rate
    values, seconds = curve.resampled(s[: len(u) + 1], np.vstack([np.ones(utterances), u]).astype(float))
    return curve.updates, sign * values, seconds


def _times(updates: np.ndarray, seconds: np.ndarray, y: np.ndarray, level: np.ndarray) -> dict[str, Interval]:
    return {
        "updates": _interval(reached(updates, y, level)[0]),
        "seconds": _interval(reached(seconds, y, level)[0]),
    }


def _interval(values: np.ndarray) -> Interval:
    """The first value, and percentiles of the others, without interpolation since values may be infinite."""
    return float(values[0]), *(float(v) for v in np.percentile(values[1:], LEVEL, method="inverted_cdf"))
