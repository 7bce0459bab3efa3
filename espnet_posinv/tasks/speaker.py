"""Speaker verification: equal error rate of the cosine between vectors of two recordings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from espnet_posinv.kaldi.lines import fields_of
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring.bootstrap import LEVEL, rate_interval
from espnet_posinv.scoring.metrics import Undefined
from espnet_posinv.tasks.embedding import embed
from espnet_posinv.tasks.task import Data

RESAMPLES = 500  # of speakers, for an interval


@dataclass(frozen=True)
class SpeakerVerification:
    """Settings; labels are speakers (utt2spk).

    A trial compares an enrolled utterance, clean if clean audio is given, with another one under test. All
    pairs of one speaker are trials, and `nontargets` random pairs of two speakers. With clean audio, the mean
    cosine between an utterance and its own clean recording is computed too.

    Args:
        model: see :func:`~espnet_posinv.tasks.embedding.embed`.
        layer: of an SSL model.
        trials: file of lines ``enrolled tested target|nontarget`` or ``1|0 enrolled tested`` to use instead.
        nontargets: largest number of trials with two speakers.
        seed: of their choice and of the interval's resamples.
    """

    model: str
    layer: int = -1
    trials: str = ""
    nontargets: int = 100000
    seed: int = 0

    def __post_init__(self):
        if self.nontargets < 1:
            raise DataError(f"nontargets={self.nontargets}: must be 1 or more")

    def settings(self) -> dict:
        """All fields."""
        return {"task": "speaker", **asdict(self)}

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """Vector of length 1."""
        vector = embed(self.model, wav, self.layer)
        length = np.linalg.norm(vector)
        if not length > 0:
            raise Undefined(f"{self.model} gives a vector of zeros")
        return vector / length

    def evaluate(self, data: Data) -> dict:
        """EER in per cent with an interval over speakers, and the mean cosine to clean speech.

        Raises:
            DataError: no trial of one kind, or a file of trials that contradicts the labels.
        """
        names = sorted(data.vectors)
        tested = np.stack([data.vectors[name] for name in names])
        enrolled = np.stack([data.clean[name] for name in names]) if data.clean else tested
        label, speakers = np.unique([data.labels[name] for name in names], return_inverse=True)
        first, second, target = self._trials(data, names, label[speakers])
        if not target.any() or target.all():
            kind = "nontarget" if target.any() else "target"
            raise DataError(
                f"no {kind} trial among {len(names)} utterances of {len(label)} speakers; two speakers with "
                "two utterances each are needed"
            )
        scores = (enrolled[first] * tested[second]).sum(1)
        value, threshold = equal_error_rate(scores, target)
        low, high = _interval(scores, target, speakers[first], speakers[second], self.seed)
        few = ["EER has no interval: too few speakers in the trials to resample them"] if low is None else []
        total = {"EER": {"value": 100 * value, "low": low, "high": high}}
        facts = {"targets": int(target.sum()), "nontargets": int((~target).sum())}
        facts |= {"speakers": len(label), "threshold": threshold}
        utterances = {}
        if data.clean and data.clean is not data.vectors:
            cosines = (enrolled * tested).sum(1)
            utterances = {name: {"similarity": float(c)} for name, c in zip(names, cosines, strict=True)}
            mean, below, above = rate_interval(cosines, np.ones(len(names)))
            total["similarity"] = {"value": mean, "low": below, "high": above}
        return {"total": total, "facts": facts, "notes": few, "utterances": utterances}

    def _trials(self, data: Data, names: list[str], speakers: np.ndarray):
        """Indices of the enrolled and tested utterance of each trial, and whether they have one speaker."""
        if self.trials:
            return self._read_trials(names, speakers, data.undefined)
        first, second = np.triu_indices(len(names), 1)
        if data.clean:
            first, second = np.concatenate([first, second]), np.concatenate([second, first])
        target = speakers[first] == speakers[second]
        others = np.flatnonzero(~target)
        if len(others) > self.nontargets:
            others = np.random.default_rng(self.seed).choice(others, self.nontargets, replace=False)
        kept = np.concatenate([np.flatnonzero(target), np.sort(others)])
        return first[kept], second[kept], target[kept]

    def _read_trials(self, names: list[str], speakers: np.ndarray, undefined: Mapping[str, str]):
        index = {name: number for number, name in enumerate(names)}
        rows = []
        for number, fields in enumerate(fields_of(self.trials, exactly=3), 1):
            if fields[0] in ("0", "1") and fields[2] not in ("target", "nontarget"):
                fields = [*fields[1:], "target" if fields[0] == "1" else "nontarget"]
            if fields[2] not in ("target", "nontarget"):
                raise DataError(
                    f"{self.trials}:{number}: {' '.join(fields)!r} neither ends with target or nontarget nor "
                    "begins with 1 or 0"
                )
            if lacking := [name for name in fields[:2] if name not in index]:
                why = undefined.get(lacking[0])
                what = f"has no vector ({why}); delete the line" if why else "is not in the test set"
                raise DataError(f"{self.trials}:{number}: utterance {lacking[0]!r} {what}")
            one, other = (index[name] for name in fields[:2])
            if (speakers[one] == speakers[other]) != (fields[2] == "target"):
                raise DataError(
                    f"{self.trials}:{number}: {fields[2]}, but by the labels {fields[0]} is of "
                    f"{speakers[one]} and {fields[1]} of {speakers[other]}; correct one of them"
                )
            rows.append((one, other, fields[2] == "target"))
        if not rows:
            raise DataError(f"{self.trials}: holds no trial")
        first, second, target = zip(*rows, strict=True)
        return np.array(first), np.array(second), np.array(target)


def equal_error_rate(
    scores: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """The equal error rate, by linear interpolation between neighbouring thresholds, and the threshold.

    Args:
        scores: (n,) higher for targets.
        target: (n,) bool.
        weights: (n,) of trials; default: ones.

    Returns:
        A rate between 0 and 1, and the score at the crossing.
    """
    from sklearn.metrics import roc_curve

    accepted, found, thresholds = roc_curve(target, scores, sample_weight=weights, drop_intermediate=False)
    rejected = 1 - found
    k = int(np.argmax(accepted >= rejected))
    gap, next_gap = rejected[k - 1] - accepted[k - 1], accepted[k] - rejected[k]
    share = gap / (gap + next_gap)
    rate = accepted[k - 1] + share * (accepted[k] - accepted[k - 1])
    return float(rate), float(thresholds[k])


def _interval(scores, target, first, second, seed: int) -> tuple[float, float] | tuple[None, None]:
    """Percentiles of the EER over resamples of the trials' speakers, which weight both sides of a trial.

    None where only one mixture of speakers has trials of both kinds, as of two speakers: nothing varies.
    """
    speakers, found = np.unique(np.concatenate([first, second]), return_inverse=True)
    first, second = np.split(found, 2)
    generator = np.random.default_rng(seed)
    rates, mixtures = [], set()
    for _ in range(RESAMPLES):
        copies = generator.multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers))).astype(float)
        weights = np.where(target, copies[first], copies[first] * copies[second])
        if (weights * target).sum() > 0 and (weights * ~target).sum() > 0:
            rates.append(equal_error_rate(scores, target, weights)[0])
            mixtures.add(tuple(copies))
    if len(mixtures) < 2:
        return None, None
    low, high = np.percentile(rates, LEVEL)
    return 100 * float(low), 100 * float(high)


TASK = SpeakerVerification
