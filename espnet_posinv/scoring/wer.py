"""Word, character or phone errors of each utterance, joined by id, counted by jiwer, pooled at the end."""

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from espnet_posinv.files import read_json, write_json
from espnet_posinv.kaldi.scp import DataError, entries, read_scp
from espnet_posinv.scoring.bootstrap import SAMPLES, SEED, difference_interval, rate_interval
from espnet_posinv.scoring.sclite import run_sclite
from espnet_posinv.scoring.significance import FEW, matched_pairs, permutation
from espnet_posinv.scoring.substitutions import commonest_substitutions
from espnet_posinv.text.letters import lacks_blanks
from espnet_posinv.text.lexicon import GIVEN, phones_of, pronouncer
from espnet_posinv.text.normalize import describe, normalize, reads_numbers, spell
from espnet_posinv.text.own import load_normalizer

UNITS = {"words": "WER", "characters": "CER", "phones": "PER"}


def count_errors(reference: str, hypothesis: str) -> dict[str, int]:
    """Substitutions S, deletions D, insertions I of one utterance, and its N reference words."""
    if not reference.split():  # jiwer refuses empty references
        return {"S": 0, "D": 0, "I": len(hypothesis.split()), "N": 0}
    import jiwer

    out = jiwer.process_words(reference, hypothesis)
    words = out.hits + out.substitutions + out.deletions
    return {"S": out.substitutions, "D": out.deletions, "I": out.insertions, "N": words}


def score_texts(
    references: dict[str, str],
    hypotheses: dict[str, str],
    *,
    language: str = "en",
    missing: str = "error",
    unit: str = "words",
    lexicon: str = "",
    normalizer: str = "",
) -> dict[str, dict]:
    """``{id: {"S", "D", "I", "N", "ref", "hyp"}}``, ids sorted, texts as compared.

    Args:
        references, hypotheses: texts by id.
        language: rules of normalisation, see :func:`~espnet_posinv.text.normalize.normalize`.
        missing: how a reference without hypothesis counts: as an "error", or as "deletions" of all its words.
        unit: "words"; "characters" of the words, without blanks; "phones", separated by blanks in the
            hypotheses.
        lexicon: for phones, the pronunciations of the transcripts
            (:func:`~espnet_posinv.text.lexicon.pronouncer`); "" if the references are phones themselves.
        normalizer: your own function instead of the language's rules, ``FILE.py:FUNCTION``
            (:func:`~espnet_posinv.text.own.load_normalizer`).

    Raises:
        DataError: a hypothesis without reference, or a reference without hypothesis; words of a language that
            is written without blanks.
    """
    if unit not in UNITS:
        raise DataError(f"unit {unit!r}: there are {', '.join(UNITS)}")
    absent, unknown = references.keys() - hypotheses.keys(), hypotheses.keys() - references.keys()
    if unknown:
        raise DataError(f"{len(unknown)} hypotheses have no reference: {_some(unknown)}; wrong test set?")
    if absent and missing == "error":
        raise DataError(
            f"{len(absent)} of {len(references)} references have no hypothesis: {_some(absent)}; "
            "decode them, or count their words as deletions (--missing deletions)"
        )
    if unit == "words":
        for side, texts in (("references", references), ("hypotheses", hypotheses)):
            if lacks_blanks(texts.values()):
                raise DataError(
                    f"the {side} are written without blanks between words, like "
                    f"{next(filter(None, texts.values()))!r}: score characters "
                    "(--unit characters), or cut both sides into words"
                )
    write_ref, write_hyp = _writers(unit, language, lexicon, normalizer)
    scores = {}
    for utterance in sorted(references):
        try:
            ref, hyp = write_ref(references[utterance]), write_hyp(hypotheses.get(utterance, ""))
        except DataError as error:
            raise DataError(f"utterance {utterance}: {error}") from None
        scores[utterance] = {**count_errors(ref, hyp), "ref": ref, "hyp": hyp}
    return scores


def _writers(unit: str, language: str, lexicon: str, normalizer: str):
    """Functions that turn reference and hypothesis into units between blanks."""
    own = load_normalizer(normalizer) if normalizer else None

    def words(text: str) -> str:
        return own(text) if own else normalize(text, language)

    def characters(text: str) -> str:
        return " ".join(words(text).replace(" ", ""))

    def unchanged(text: str) -> str:
        return " ".join(text.split())

    if unit != "phones":
        return (words, words) if unit == "words" else (characters, characters)
    if lexicon in ("", GIVEN):
        return unchanged, unchanged
    pronounce = pronouncer(lexicon)
    return lambda text: " ".join(phones_of(spell(text, language), pronounce)), unchanged


def compare(scores: dict[str, dict], baseline: dict[str, dict]) -> dict:
    """Difference of two systems' rates on the same utterances: interval and tests, see ``significance.py``.

    Returns:
        ``{"difference", "interval95", "matched_pairs", "permutation"}``, rates in per cent.

    Raises:
        DataError: different utterances or references.
    """
    if {k: v["ref"] for k, v in scores.items()} != {k: v["ref"] for k, v in baseline.items()}:
        raise DataError("scored on different utterances or transcripts; score both on one test set")
    errors, others = ([sum(s[i][key] for key in "SDI") for i in sorted(scores)] for s in (scores, baseline))
    words = [scores[i]["N"] for i in sorted(scores)]
    rate, low, high = difference_interval(errors, others, words)
    return {
        "difference": 100 * rate,
        "interval95": {"low": 100 * low, "high": 100 * high},
        "matched_pairs": matched_pairs(errors, others),
        "permutation": permutation(errors, others),
    }


def pool(scores: dict[str, dict]) -> dict:
    """Summed counts, WER = (S + D + I) / N in per cent, and its 95 % bootstrap interval.

    Raises:
        DataError: the references hold no word.
    """
    total = {key: sum(score[key] for score in scores.values()) for key in "SDIN"}
    if total["N"] == 0:
        raise DataError(f"the {len(scores)} references hold no word after normalisation; WER is undefined")
    errors = [score["S"] + score["D"] + score["I"] for score in scores.values()]
    words = [score["N"] for score in scores.values()]
    rate, low, high = rate_interval(errors, words)
    interval = {"samples": SAMPLES, "seed": SEED, "low": 100 * low, "high": 100 * high}
    return {"wer": 100 * rate, **total, "utterances": len(scores), "interval95": interval}


def score_files(
    reference: str | Path,
    hypothesis: str | Path,
    output: str | Path,
    *,
    language: str,
    missing: str,
    unit: str | None = None,
    lexicon: str = "",
    normalizer: str = "",
    against: Sequence[str | Path] = (),
    sclite: bool = False,
) -> dict:
    """Score one Kaldi text against another and write a JSON file.

    The file holds the pooled counts, the counts and texts of each utterance, the rules of normalisation, and
    the recogniser's settings from ``decode.json`` beside the hypothesis.

    Args:
        language, missing, unit, lexicon, normalizer: see :func:`score_texts`; unit None and lexicon "" are
            set from the recogniser's settings: phones and their lexicon for a recogniser of phones, else
            words.
        against: such JSON files of other systems to compare with, see :func:`compare`.
        sclite: also score with sclite, in the folder `output` with ".sclite" in place of ".json".

    Returns:
        The contents of the file without the single utterances.

    Raises:
        DataError: see :func:`score_texts`, :func:`pool`, :func:`compare`.
    """
    tables = [read_scp(path, empty_values=True) for path in (reference, hypothesis)]
    record = Path(hypothesis).with_name("decode.json")
    recogniser = read_json(record).get("recogniser") if record.exists() else None
    if unit is None and (recogniser or {}).get("units") == "phones":
        unit, lexicon = "phones", lexicon or recogniser["lexicon"]
    unit = unit or "words"
    how = {"language": language, "unit": unit, "lexicon": lexicon, "normalizer": normalizer}
    scores = score_texts(*tables, missing=missing, **how)
    cut_off = Path(hypothesis).with_name("cut_off")  # transcripts that reached the recogniser's limit
    result = {
        "total": pool(scores),
        "recogniser": recogniser,
        "unit": unit,
        "normalization": {"own": normalizer} if normalizer else describe(language),
        "substitutions": commonest_substitutions((s["ref"], s["hyp"]) for s in scores.values()),
        "missing": missing,
        "cut_off": [key for _, key, _ in entries(cut_off)] if cut_off.exists() else [],
        "jiwer": version("jiwer"),
    }
    result["notes"] = list(_notes(result, scores, tables, language))
    if unit == "phones":
        result["lexicon"] = Path(lexicon).name
    if against:
        result["comparisons"] = {str(path): _compare_file(scores, path) for path in against}
    if sclite:
        result["sclite"] = run_sclite(scores, Path(output).with_suffix(".sclite"))
    write_json(output, {**result, "utterances": scores}, ensure_ascii=False)
    return result


def _notes(
    result: dict, scores: dict[str, dict], tables: list[dict[str, str]], language: str
) -> Iterator[str]:
    """Notes on the rate."""
    if len(scores) < FEW:
        yield f"only {len(scores)} utterances: the bootstrap's interval is too narrow"
    if absent := len(tables[0].keys() - tables[1].keys()):
        yield f"{absent} references without hypothesis: all of their words are deletions"
    if empty := [utt for utt, score in scores.items() if not score["N"]]:
        some = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        yield f"{len(empty)} references without a word ({some}): words recognised there count as insertions"
    if cut_off := len(result["cut_off"]):
        yield f"{cut_off} transcripts reached the recogniser's limit of tokens and may lack words"
    digits = sum(any(c.isdigit() for c in score["ref"] + score["hyp"]) for score in scores.values())
    if digits and result["unit"] != "phones" and not reads_numbers(language):
        yield f"{digits} utterances with digits, which no package reads out in language {language!r}"


def _compare_file(scores: dict[str, dict], path: str | Path) -> dict:
    try:
        return compare(scores, json.loads(Path(path).read_text(encoding="utf-8"))["utterances"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = error if isinstance(error, DataError) else f"no scores ({error!r}); score that system again"
        raise DataError(f"{path}: {why}") from None


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:10]) + (", ..." if len(names) > 10 else "")
