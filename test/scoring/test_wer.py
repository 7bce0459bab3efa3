import itertools
import json

import numpy as np
import pytest

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring.wer import count_errors, pool, score_texts

main = command("score", "words")


def levenshtein(a, b):
    """Edit distance of two word lists, by the textbook recursion over all of them."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, last = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
    return row[-1]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("a b c", "a b c", (0, 0, 0, 3)),
        ("a b c", "a x c", (1, 0, 0, 3)),
        ("a b c", "a c", (0, 1, 0, 3)),
        ("a b c", "a b b c", (0, 0, 1, 3)),
        ("a b c", "", (0, 3, 0, 3)),
        ("", "a b", (0, 0, 2, 0)),
        ("", "", (0, 0, 0, 0)),
    ],
)
def test_counts(reference, hypothesis, expected):
    assert tuple(count_errors(reference, hypothesis).values()) == expected


def test_counts_equal_edit_distance_for_all_short_texts():
    texts = [" ".join(t) for n in range(4) for t in itertools.product("ab", repeat=n)]
    for reference, hypothesis in itertools.product(texts, repeat=2):
        counts = count_errors(reference, hypothesis)
        assert counts["S"] + counts["D"] + counts["I"] == levenshtein(reference.split(), hypothesis.split())
        assert counts["N"] == len(reference.split())


def test_joined_by_id_not_by_line():
    scores = score_texts({"a": "one two", "b": "three"}, {"b": "3", "a": "one, two"})
    assert pool(scores)["wer"] == 0
    assert list(scores) == ["a", "b"]


def test_pooled_over_words_not_utterances():
    total = pool(score_texts({"a": "x", "b": "p q r s t u v w y"}, {"a": "z", "b": "p q r s t u v w y"}))
    assert total["wer"] == pytest.approx(10.0)
    assert (total["S"], total["D"], total["I"], total["N"], total["utterances"]) == (1, 0, 0, 10, 2)
    assert total["interval95"]["low"] == 0
    assert total["interval95"]["high"] == 100  # the redrawn set may be utterance a alone


def test_missing_ids():
    references = {f"u{k:02d}": "word" for k in range(12)}
    with pytest.raises(
        DataError, match=r"11 of 12 references have no hypothesis: u01, .*u10, \.\.\.; decode"
    ):
        score_texts(references, {"u00": "word"})
    total = pool(score_texts(references, {"u00": "word"}, missing="deletions"))
    assert total["D"] == 11
    with pytest.raises(DataError, match="1 hypotheses have no reference: other; wrong test set"):
        score_texts({"u": "word"}, {"u": "word", "other": "word"}, missing="deletions")


def test_no_words_is_an_error():
    with pytest.raises(DataError, match="1 references hold no word"):
        pool(score_texts({"u": "..."}, {"u": "word"}))


def test_command(tmp_path, capsys):
    (tmp_path / "ref").write_text("b Press one.\na\n")
    (tmp_path / "hyp").mkdir()
    (tmp_path / "hyp/text").write_text("a what\nb press 1\n")
    (tmp_path / "hyp/decode.json").write_text('{"recogniser": {"model": "m"}}')
    command = [
        "--ref",
        f"{tmp_path}/ref",
        "--hyp",
        f"{tmp_path}/hyp/text",
        "--output",
        f"{tmp_path}/o/s.json",
    ]
    main(command)
    result = json.loads((tmp_path / "o/s.json").read_text())
    assert result["total"]["wer"] == 50.0
    assert result["recogniser"] == {"model": "m"}
    assert result["utterances"]["b"] == {
        "S": 0,
        "D": 0,
        "I": 0,
        "N": 2,
        "ref": "press one",
        "hyp": "press one",
    }
    assert result["normalization"]["symbols"]["*"] == "star"
    assert "WER 50.0 % [" in capsys.readouterr().out
    (tmp_path / "hyp/text").write_text("a what\n")
    with pytest.raises(SystemExit, match="posinv score words: 1 of 2 references have no hypothesis: b"):
        main(command)
    with pytest.raises(SystemExit, match=r"posinv score words: .*nothing: no such file"):
        main([*command[:2], "--hyp", f"{tmp_path}/nothing", "--output", f"{tmp_path}/s.json"])
    (tmp_path / "hyp/decode.json").write_text('{"recogniser":')
    with pytest.raises(SystemExit, match=r"hyp/decode.json:1: not JSON \(Expecting value\); delete"):
        main(command)


def test_what_a_reader_must_know_is_said(tmp_path, capsys):
    (tmp_path / "ref").write_text("a नमस्ते\nb १२\nc\n")
    (tmp_path / "hyp").mkdir()
    (tmp_path / "hyp/text").write_text("a नमस्ते\nc\n")
    (tmp_path / "hyp/cut_off").write_text("a cut off at 444 tokens\n")
    command = ["--ref", f"{tmp_path}/ref", "--hyp", f"{tmp_path}/hyp/text", "--output", f"{tmp_path}/o.json"]
    main([*command, "--missing", "deletions", "--language", "tok"])
    notes = json.loads((tmp_path / "o.json").read_text())["notes"]
    assert [note.split(":")[0] for note in notes] == [
        "only 3 utterances",
        "1 references without hypothesis",
        "1 references without a word (c)",
        "1 transcripts reached the recogniser's limit of tokens and may lack words",
        "1 utterances with digits, which no package reads out in language 'tok'",
    ]
    assert notes[1] in capsys.readouterr().out


def test_totals_are_integers_in_json(tmp_path):
    assert json.dumps(pool(score_texts({"a": "x y"}, {"a": "x"})))
    assert np.isclose(pool(score_texts({"a": "x y"}, {"a": "x"}))["wer"], 50)


@pytest.mark.parametrize("text", ["今天天气很好", "你好", "วันนี้อากาศดีมาก", "今日はいい天気ですね"])
def test_words_without_blanks_are_refused(text):
    with pytest.raises(DataError, match=r"references are written without blanks .*--unit characters"):
        score_texts({"u": text, "v": ""}, {"u": text, "v": ""}, language="zh")
    score = score_texts({"u": text}, {"u": text}, language="zh", unit="characters")["u"]
    assert score["S"] == 0 and score["N"] > 1


def test_words_that_somebody_cut_are_words():
    assert score_texts({"u": "今天 天气 很 好"}, {"u": "今天 天气 好"}, language="zh")["u"]["D"] == 1
    with pytest.raises(DataError, match="hypotheses are written without blanks"):
        score_texts({"u": "今天 天气"}, {"u": "今天天气"}, language="zh")
