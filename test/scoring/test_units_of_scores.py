"""Characters and phones, comparisons of systems, and sclite beside our counts."""

import json

import numpy as np
import pytest

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring import sclite
from espnet_posinv.scoring.bootstrap import difference_interval
from espnet_posinv.scoring.wer import compare, pool, score_texts

main = command("score", "words")

LEXICON = "ONE W AH N\nTWO T UW\nSTAR S T AA R\n"


def test_characters():
    scores = score_texts({"a": "Press one"}, {"a": "prss 1!"}, unit="characters")
    assert scores["a"] == {"S": 0, "D": 1, "I": 0, "N": 8, "ref": "p r e s s o n e", "hyp": "p r s s o n e"}


def test_phones_of_a_lexicon(tmp_path):
    (tmp_path / "lexicon").write_text(LEXICON)
    scores = score_texts({"a": "1 *"}, {"a": "W AH S T AA"}, unit="phones", lexicon=f"{tmp_path}/lexicon")
    assert scores["a"]["ref"] == "W AH N S T AA R" and scores["a"]["hyp"] == "W AH S T AA"
    assert pool(scores)["wer"] == pytest.approx(200 / 7)
    with pytest.raises(DataError, match="utterance a: no pronunciation of 1 words: three"):
        score_texts({"a": "3"}, {"a": ""}, unit="phones", lexicon=f"{tmp_path}/lexicon")
    # Without a lexicon both sides are phones already, and no digit is read out
    assert score_texts({"a": "AH0 N"}, {"a": "AH1 N"}, unit="phones")["a"]["S"] == 1
    with pytest.raises(DataError, match="unit 'letters': there are words, characters, phones"):
        score_texts({}, {}, unit="letters")


@pytest.fixture
def texts(tmp_path):
    """Files of a reference and two systems with random errors, the second worse."""
    generator = np.random.default_rng(0)
    words = ["alpha", "beta", "gamma", "delta", "o'clock", "élan"]
    files = {"ref": "", "good": "", "bad": ""}
    for k in range(40):
        ref = list(generator.choice(words, generator.integers(1, 9)))
        files["ref"] += f"spk{k % 3}-{k:02d} {' '.join(ref)}\n"
        for name, share in (("good", 0.1), ("bad", 0.4)):
            hyp = []
            for word in ref:
                kind = generator.random()
                if kind > share / 3:  # else deleted
                    hyp.append(word if kind > share else generator.choice(words))
                if generator.random() < share / 3:
                    hyp.append(generator.choice(words))
            files[name] += f"spk{k % 3}-{k:02d} {' '.join(hyp)}".rstrip() + "\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def score(folder, name, *more):
    main(["--ref", f"{folder}/ref", "--hyp", f"{folder}/{name}", "--output", f"{folder}/{name}.json", *more])
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def test_comparison_of_two_systems(texts, capsys):
    bad = score(texts, "bad")
    good = score(texts, "good", "--against", f"{texts}/bad.json")
    assert f"against {texts}/bad.json: -" in capsys.readouterr().out
    found = good["comparisons"][f"{texts}/bad.json"]
    assert found["difference"] == pytest.approx(good["total"]["wer"] - bad["total"]["wer"])
    errors = [[sum(v[k] for k in "SDI") for v in s["utterances"].values()] for s in (good, bad)]
    rate, low, high = difference_interval(*errors, [v["N"] for v in good["utterances"].values()])
    assert found["interval95"] == {"low": 100 * low, "high": 100 * high} and rate < 0
    assert found["matched_pairs"]["p"] < 0.001 and found["permutation"]["p"] < 0.001
    other = {**good["utterances"], "spk0-00": {**good["utterances"]["spk0-00"], "ref": "else"}}
    with pytest.raises(DataError, match="scored on different utterances or transcripts"):
        compare(good["utterances"], other)
    (texts / "broken.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"posinv score words: .*broken.json: no scores .*'utterances'"):
        score(texts, "good", "--against", f"{texts}/broken.json")


needs_sclite = pytest.mark.skipif(not sclite.find_sclite(), reason="sclite (Debian's sctk) is not installed")


@needs_sclite
@pytest.mark.parametrize("name", ["good", "bad"])
def test_totals_of_sclite(texts, name):
    ours = score(texts, name, "--sclite")
    theirs = ours["sclite"]
    assert theirs["N"] == ours["total"]["N"] and theirs["sentences"] == 40
    errors = sum(ours["total"][key] for key in "SDI")
    assert errors <= sum(theirs[key] for key in "SDI") <= 1.05 * errors
    report = (texts / f"{name}.sclite/result.txt").read_text(errors="replace")
    assert "Speaker sentences" in report and "spk2-02" in report


@needs_sclite
def test_where_sclite_aligns_otherwise(tmp_path):
    # Three substitutions cost it 12, as do two insertions and two deletions: either is at most a third more
    scores = score_texts({"a-1": "a b c", "a-2": ""}, {"a-1": "x a b", "a-2": "b"})
    found = sclite.run_sclite(scores, tmp_path)
    assert (found["N"], found["sentences"]) == (3, 2)
    assert sum(found[k] for k in "SDI") == 3


@needs_sclite
def test_totals_that_cannot_be_are_refused(tmp_path):
    scores = score_texts({"a-1": "a b c", "b": "d"}, {"a-1": "a x c", "b": "d"})
    assert sclite.run_sclite(scores, tmp_path)["S"] == 1
    wrong = {**scores, "a-1": {**scores["a-1"], "S": 3}}
    with pytest.raises(DataError, match="sclite counts 1 errors in 4 words of 2 utterances, we 3 in 4 of 2"):
        sclite.run_sclite(wrong, tmp_path)
    with pytest.raises(DataError, match=r"utterance 'a\(1\)': sclite takes no ids with brackets"):
        sclite.run_sclite({"a(1)": scores["b"]}, tmp_path)


def test_without_sclite(texts, monkeypatch):
    monkeypatch.setattr(sclite, "find_sclite", lambda: None)
    with pytest.raises(
        SystemExit, match=r"posinv score words: sclite is not installed \(Debian: apt-get install sctk\)"
    ):
        score(texts, "good", "--sclite")
