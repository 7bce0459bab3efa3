"""Word errors of each utterance, joined by id and counted by jiwer; pooled once, at the end."""

import json
from importlib.metadata import version
from pathlib import Path

from espnet_posinv.kaldi.scp import DataError, atomic_write, read_scp
from espnet_posinv.scoring.bootstrap import rate_interval
from espnet_posinv.scoring.normalize import describe, normalize


def count_errors(reference: str, hypothesis: str) -> dict[str, int]:
    """Substitutions S, deletions D, insertions I of one utterance, and its N reference words."""
    if not reference.split():  # jiwer refuses empty references
        return {"S": 0, "D": 0, "I": len(hypothesis.split()), "N": 0}
    import jiwer

    out = jiwer.process_words(reference, hypothesis)
    words = out.hits + out.substitutions + out.deletions
    return {"S": out.substitutions, "D": out.deletions, "I": out.insertions, "N": words}


def score_texts(
    references: dict[str, str], hypotheses: dict[str, str], *, language: str = "en", missing: str = "error"
) -> dict[str, dict]:
    """Errors by utterance id.

    Args:
        references: transcript by id.
        hypotheses: recogniser's output by id.
        language: rules of normalisation, see :func:`~espnet_posinv.scoring.normalize.normalize`.
        missing: what a reference without hypothesis is: "error", or "deletions" of all its words.

    Returns:
        ``{id: {"S", "D", "I", "N", "ref", "hyp"}}``, ids sorted, texts as compared.

    Raises:
        DataError: an id on one side only (a hypothesis without reference always), all named up to ten.
    """
    absent, unknown = references.keys() - hypotheses.keys(), hypotheses.keys() - references.keys()
    if unknown:
        raise DataError(f"{len(unknown)} hypotheses have no reference: {_some(unknown)}; wrong test set?")
    if absent and missing == "error":
        raise DataError(
            f"{len(absent)} of {len(references)} references have no hypothesis: {_some(absent)}; "
            "decode them, or count their words as deletions (--missing deletions)"
        )
    scores = {}
    for utterance in sorted(references):
        ref = normalize(references[utterance], language)
        hyp = normalize(hypotheses.get(utterance, ""), language)
        scores[utterance] = {**count_errors(ref, hyp), "ref": ref, "hyp": hyp}
    return scores


def pool(scores: dict[str, dict], *, samples: int = 10000, seed: int = 0) -> dict:
    """Summed counts, WER = (S + D + I) / N in per cent, and its 95 % bootstrap interval.

    Raises:
        DataError: the references hold no word.
    """
    total = {key: sum(score[key] for score in scores.values()) for key in "SDIN"}
    if total["N"] == 0:
        raise DataError(f"the {len(scores)} references hold no word after normalisation; WER is undefined")
    errors = [score["S"] + score["D"] + score["I"] for score in scores.values()]
    words = [score["N"] for score in scores.values()]
    rate, low, high = rate_interval(errors, words, samples=samples, seed=seed)
    interval = {"samples": samples, "seed": seed, "low": 100 * low, "high": 100 * high}
    return {"wer": 100 * rate, **total, "utterances": len(scores), "interval95": interval}


def score_files(
    reference: str | Path, hypothesis: str | Path, output: str | Path, *, language: str, missing: str
) -> dict:
    """Score one Kaldi text against another and write a JSON file.

    It holds the pooled counts, the counts and texts of each utterance, the rules of normalisation, and what
    ``decode.json`` beside the hypothesis says of the recogniser.

    Returns:
        The pooled counts, see :func:`pool`.

    Raises:
        DataError: see :func:`score_texts` and :func:`pool`.
    """
    tables = [read_scp(path, empty_values=True) for path in (reference, hypothesis)]
    scores = score_texts(*tables, language=language, missing=missing)
    total = pool(scores)
    record = Path(hypothesis).with_name("decode.json")
    result = {
        "total": total,
        "recogniser": json.loads(record.read_text())["recogniser"] if record.exists() else None,
        "normalization": describe(language),
        "missing": missing,
        "jiwer": version("jiwer"),
        "utterances": scores,
    }
    with atomic_write(output) as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
    return total


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
