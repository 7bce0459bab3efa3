"""Phones of words: the lexicon, and what becomes of espeak-ng's symbols."""

import shutil

import pytest

from espnet_posinv.corpora.espeak import Lexicon, pronounce, symbols
from espnet_posinv.kaldi.scp import DataError


def test_marks_of_stress_and_length_are_no_phones():
    assert symbols("h ə l ˈoʊ") == ("h", "ə", "l", "oʊ")
    assert symbols("p r̝̊ ˈaː t e l eː") == ("p", "r", "a", "t", "e", "l", "e")
    assert symbols("m ɑ̃ (en) tʃ") == ("m", "ɑ̃", "tʃ")


def test_lexicon_file(tmp_path):
    lexicon = Lexicon({("en", "no"): ("n", "oʊ"), ("it", "no"): ("n", "ɔ")})
    lexicon.write(tmp_path / "lexicon.txt")
    assert (tmp_path / "lexicon.txt").read_text() == "en no n oʊ\nit no n ɔ\n"
    again = Lexicon.read(tmp_path / "lexicon.txt")
    assert again.table == lexicon.table and again.phones("No, no!", "it") == "n ɔ n ɔ"
    (tmp_path / "lexicon.txt").write_text("en no n oʊ\nen yes\n")
    with pytest.raises(DataError, match=r"lexicon\.txt:2: 'en yes': lines are LANGUAGE WORD PHONE"):
        Lexicon.read(tmp_path / "lexicon.txt")


def test_without_the_program_what_lacks_is_named(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        DataError, match=r"espeak-ng is not installed, and the lexicon lacks 1 words of 'en', like 'yes'"
    ):
        Lexicon().phones("Yes.", "en")


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="no espeak-ng")
def test_words_do_not_run_into_each_other():
    assert pronounce(["hello", "cat"], "en") == [symbols("h ə l oʊ"), symbols("k æ t")]
