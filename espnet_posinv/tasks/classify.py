"""Classification of utterances, for instance of emotions: linear, on frozen SSL features, across speakers."""

from dataclasses import asdict, dataclass

import numpy as np

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring.bootstrap import rate_interval
from espnet_posinv.tasks.embedding import embed
from espnet_posinv.tasks.task import Data


@dataclass(frozen=True)
class Classification:
    """Settings; labels come from any file of lines ``utterance label`` (utt2emotion, utt2lang, ...).

    As in SUPERB's emotion recognition (arXiv 2105.01051), a linear classifier takes the mean frame of an
    utterance. Cross-validation over speakers: each fold's speakers are classified by a model trained on the
    other speakers, on clean audio if given, else on the audio under test.
    """

    model: str  # see :func:`~espnet_posinv.tasks.embedding.embed`
    layer: int = -1  # of an SSL model
    folds: int = 5  # number of groups of speakers, at most the number of speakers
    penalty: float = 1.0  # C of the logistic regression; smaller is stronger

    def __post_init__(self):
        if self.folds < 2:
            raise DataError(f"folds={self.folds}: must be 2 or more")
        if not 0 < self.penalty < float("inf"):
            raise DataError(f"penalty={self.penalty}: must be a number above 0")

    def settings(self) -> dict:
        """All fields."""
        return {"task": "classify", **asdict(self)}

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """Mean frame."""
        return embed(self.model, wav, self.layer)

    def evaluate(self, data: Data) -> dict:
        """Accuracy and mean recall of the classes in per cent; intervals over utterances.

        Raises:
            DataError: fewer than two speakers, or a fold with one class only in training.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GroupKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        names = sorted(data.vectors)
        if not data.speakers:
            raise DataError("speakers are needed, to keep them apart: --utt2spk")
        speakers = np.array([data.speakers[name] for name in names])
        labels = np.array([data.labels[name] for name in names])
        tested = np.stack([data.vectors[name] for name in names])
        learnt = np.stack([data.clean[name] for name in names]) if data.clean else tested
        folds = min(self.folds, len(set(speakers)))
        if folds < 2:
            raise DataError(
                f"two speakers are needed, to test on other voices than in training; got {speakers[0]}"
            )
        found = np.empty(len(names), dtype=labels.dtype)
        for train, test in GroupKFold(folds).split(learnt, groups=speakers):
            if len(set(labels[train])) < 2:
                raise DataError(
                    f"without {', '.join(sorted(set(speakers[test])))} all utterances are "
                    f"{str(labels[train][0])!r}: nothing can be learnt; labels must vary within speakers"
                )
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=self.penalty, max_iter=2000))
            found[test] = classifier.fit(learnt[train], labels[train]).predict(tested[test])
        right = found == labels
        value, low, high = (100 * x for x in rate_interval(right, np.ones(len(names))))
        classes, counts = np.unique(labels, return_counts=True)
        recalls = {str(c): 100 * float(right[labels == c].mean()) for c in classes}
        return {
            "total": {
                "accuracy": {"value": value, "low": low, "high": high},
                "mean recall": {"value": float(np.mean(list(recalls.values()))), "low": None, "high": None},
            },
            "facts": {
                "utterances": len(names),
                "speakers": len(set(speakers)),
                "folds": folds,
                "recalls": recalls,
                "largest class": 100 * float(counts.max() / len(names)),  # accuracy of a constant answer
            },
            "utterances": {
                name: {"label": str(label), "found": str(guess)}
                for name, label, guess in zip(names, labels, found, strict=True)
            },
        }


TASK = Classification
