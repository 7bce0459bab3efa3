import zipfile

import pytest

from espnet_posinv.asr import units
from espnet_posinv.asr.units import learn
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.text import lexicon
from espnet_posinv.text.lexicon import phones_of, pronouncer, read_lexicon

TEXTS = ["Press 1, then press star.", "Don't press *!", ""]


def test_characters_go_there_and_back():
    known = learn("characters", TEXTS)
    assert known.tokens == ("<blank>", *sorted({"|", *"pressonethenstardon't"}))
    assert known.encode("press one") == [known.tokens.index(c) for c in "press|one|"]
    assert known.join(known.encode("Don't press 1")) == "don't press one"
    assert known.encode("press x") is None
    assert known.encode("") == []
    assert known.spelling("press") == ["p", "r", "e", "s", "s", "|"]
    assert known.spelling("fox") is None


def test_pieces_go_there_and_back(tmp_path):
    lines = [f"{a} {b}" for a in ("press", "enter", "press enter") for b in ("one", "two", "three", "star")]
    known = learn("pieces", lines, vocabulary=12)
    assert len(known.tokens) == 13 and "<unk>" not in known.tokens
    assert known.join(known.encode("enter two press three")) == "enter two press three"
    assert known.encode("xylophone") is None
    assert "".join(known.spelling("three")) == "▁three"
    again = units.load(units.save(known, tmp_path), tmp_path)
    assert again == known
    with pytest.raises(DataError, match=r"sentencepiece, 4000 pieces: .*4001"):
        learn("pieces", lines, vocabulary=4000)


def test_phones(tmp_path):
    (tmp_path / "lexicon.txt").write_text("PRESS P R EH S\nONE\tW AH N\nONE HH W AH N\nSTAR S T AA R\n")
    known = learn("phones", ["press 1"], lexicon=f"{tmp_path}/lexicon.txt")
    assert known.tokens == ("<blank>", "AH", "EH", "N", "P", "R", "S", "W")
    assert known.join(known.encode("one")) == "W AH N"
    assert known.encode("star") is None
    assert known.spelling("one") == ["W", "AH", "N"] and known.spelling("fox") is None
    with pytest.raises(DataError, match="no pronunciation of 2 words: fox, bee; add them"):
        learn("phones", ["press fox", "bee"], lexicon=f"{tmp_path}/lexicon.txt")


def test_formats_of_dictionaries(tmp_path):
    forms = {
        "kaldi": "<eps> SIL\nHELLO HH AH0 L OW1\nhello HH EH L OW\n",
        "lexiconp": "<eps> 1.0 SIL\nhello 0.7 HH AH0 L OW1\n",
        "cmu": ";;; a comment\nHELLO  HH AH0 L OW1\nHELLO(1)  HH EH0 L OW1\n<eps> SIL\n",
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert read_lexicon(tmp_path / name) == {"<eps>": ("SIL",), "hello": ("HH", "AH0", "L", "OW1")}
    (tmp_path / "bad").write_text("a A\nb\n")
    with pytest.raises(DataError, match="bad:2: 'b' has no phones"):
        read_lexicon(tmp_path / "bad")
    with pytest.raises(DataError, match="no such file"):
        pronouncer(str(tmp_path / "none"))


def test_the_first_dictionary_that_knows_a_word(tmp_path):
    (tmp_path / "a").write_text("one W AH N\n")
    (tmp_path / "b").write_text("one X\ntwo T UW\n")
    look_up = pronouncer(f"{tmp_path}/a,{tmp_path}/b")
    assert [look_up(word) for word in ("one", "two", "three")] == [("W", "AH", "N"), ("T", "UW"), None]
    assert pronouncer(f"{tmp_path}/a,g2p_en")("one") == ("W", "AH", "N")  # what is not needed is not loaded


def test_g2p_en_knows_its_dictionary_and_any_other_word(tmp_path, monkeypatch):
    # Its data lies in archives of nltk; the dictionary here has one word, the network is the package's own
    pytest.importorskip("g2p_en", reason="g2p_en is installed with ESPnet")
    import nltk

    (tmp_path / "corpora").mkdir()
    (tmp_path / "taggers").mkdir()
    with zipfile.ZipFile(tmp_path / "corpora/cmudict.zip", "w") as archive:
        archive.writestr("cmudict/cmudict", "HELLO 1 HH AH0 L OW9\n")
    with zipfile.ZipFile(tmp_path / "taggers/averaged_perceptron_tagger_eng.zip", "w") as archive:
        archive.writestr("averaged_perceptron_tagger_eng/x", "")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    lexicon._g2p_en.cache_clear()
    try:
        pronounce = pronouncer("g2p_en")
        assert phones_of("hello", pronounce) == ["HH", "AH0", "L", "OW9"]
        assert pronounce("blorping") == ("B", "L", "AO1", "R", "P", "IH0", "NG")
        assert pronounce("été") is None
    finally:
        lexicon._g2p_en.cache_clear()


def test_errors():
    with pytest.raises(DataError, match="units 'words': there are characters, pieces, phones"):
        learn("words", TEXTS)
    with pytest.raises(DataError, match="phones need a lexicon"):
        learn("phones", TEXTS)
    with pytest.raises(DataError, match="pieces need their number"):
        learn("pieces", TEXTS)
    with pytest.raises(DataError, match="the training transcripts hold no word"):
        learn("characters", ["...", ""])


def test_given_phones_are_units_as_they_stand():
    units = learn("phones", ["ɑ̃ t oʊ", "ʃ t"], lexicon="given")
    assert units.tokens == ("<blank>", "oʊ", "t", "ɑ̃", "ʃ")
    assert units.split("ɑ̃ t oʊ") == ["ɑ̃", "t", "oʊ"]  # no normalisation takes the marks off
    assert units.join(units.encode("ʃ t oʊ")) == "ʃ t oʊ"
