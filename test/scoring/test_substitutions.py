"""Commonest substitutions, and a normaliser of the user's own that makes one of them none."""

import json

import pytest

from espnet_posinv.cli import command
from espnet_posinv.kaldi.parallel import time_left
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring.substitutions import commonest_substitutions
from espnet_posinv.text.own import load_normalizer


def test_neighbouring_errors_are_one_and_what_occurs_once_is_left_out():
    pairs = [
        ("one fifty please", "150 please"),
        ("say one fifty", "say 150"),
        ("colour of it", "color of it"),
        ("the colour", "the color"),
        ("a colour", "a color"),
        ("once", "ones"),
        ("dropped word here", "dropped here"),
        ("", "noise"),
    ]
    assert commonest_substitutions(pairs) == [
        {"ref": "colour", "hyp": "color", "times": 3},
        {"ref": "one fifty", "hyp": "150", "times": 2},
    ]
    assert len(commonest_substitutions(pairs, 1)) == 1 and commonest_substitutions([("", "")]) == []


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ref").write_text("a the shoppe\nb a shoppe\n")
    (tmp_path / "hyp").write_text("a the shop\nb a shop\n")
    (tmp_path / "mine.py").write_text("def words(text):\n    return text.replace('shoppe', 'shop')\n")
    return tmp_path


def test_scores_tell_them_and_a_recipe_names_its_normaliser(texts):
    files = ["--ref", "ref", "--hyp", "hyp", "--output"]
    command("score", "words")([*files, "one.json"])
    found = json.loads((texts / "one.json").read_text())
    assert (
        found["substitutions"] == [{"ref": "shoppe", "hyp": "shop", "times": 2}] and found["total"]["S"] == 2
    )
    command("score", "words")([*files, "two.json", "--normalizer", "mine.py:words"])
    found = json.loads((texts / "two.json").read_text())
    assert found["total"]["S"] == 0 and found["substitutions"] == []
    assert found["normalization"] == {"own": "mine.py:words"}


@pytest.mark.parametrize("name", ["mine.py:none", "gone.py:words", "no.module:words", "words"])
def test_a_normaliser_that_is_not_there_is_named(texts, name):
    with pytest.raises(DataError, match=f"normaliser '{name}': .*write FILE.py:FUNCTION"):
        load_normalizer(name)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(40, "40 s left"), (61, "2 min left"), (3600, "1 h 0 min left"), (9000, "2 h 30 min left")],
)
def test_time_left(seconds, words):
    assert time_left(seconds) == words
