import pytest

from espnet_posinv.scoring.wer import score_texts
from espnet_posinv.text.normalize import describe, normalize, spell


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Press 1, for voice-mail.", "press one for voicemail"),
        ("  It’s OK — don't  'worry'! ", "it is okay do not worry"),
        ("Extension 2003 is 42.", "extension 2003 is 42"),
        ("1,000 or 3.14, 50%", "1000 or 3.14 50%"),
        ("press * then # & wait", "press star then pound and wait"),
        ("Thru the mail box, log-in", "through the mailbox login"),
        ("[noise] hello (sighs)", "hello"),
        ("rock 'n' roll \U0001f600\ufe0f", "rock n roll"),
        ("I'd've said cafe\u0301", "i would have said cafe"),
        ("...", ""),
        ("", ""),
    ],
)
def test_english(text, words):
    assert normalize(text) == words


SAME = [  # language, words as they are spoken, as a recogniser may write them
    ("en", "TEN THOUSAND PEOPLE", "10,000 people"),
    ("en", "ONE MILLION", "1,000,000"),
    ("en", "A HUNDRED MEN", "100 men"),
    ("en", "IN EIGHTEEN SIXTY", "in 1860"),
    ("en", "NINETEEN OH ONE", "1901"),
    ("en", "THE EIGHTEEN FORTIES", "the 1840s"),
    ("en", "TWO OH FIVE", "2:05"),
    ("en", "THREE POINT ONE FOUR", "3.14"),
    ("en", "MINUS FIVE", "-5"),
    ("en", "FIFTY PERCENT", "50%"),
    ("en", "THE THIRTY THIRD", "the 33rd"),
    ("en", "PRESS ONE ONE TWO", "Press 1, 1, 2."),
    ("en", "O O SEVEN", "007"),
    ("en", "MISTER SMITH AND MISSUS JONES", "Mr. Smith and Mrs. Jones"),
    ("en", "DOCTOR WHITE OF SAINT JOHN'S", "Dr. White of St. John’s"),
    ("en", "CHAPTER ONE NUMBER FIVE", "Chapter 1. No. 5"),
    ("en", "THE D KEY", "the 'd' key"),
    ("en", "don't", "don‘t"),
    ("en", "don't", "don’t"),
    ("en", "don't", "donʼt"),
    ("en", "don't", "don´t"),
    ("en", "don't", "don`t"),
    ("en", "cooperate", "co\u00adoperate"),
    ("de", "drei Komma fünf Prozent", "3,5 Prozent"),
    ("de", "null Komma null fünf", "0,05"),
    ("de", "tausend Euro", "1.000 Euro"),
    ("de", "eine Million", "1.000.000"),
    ("de", "fünf Millionen Euro", "5 Millionen Euro"),
    ("de", "neunzehnhundertfünfundachtzig", "1985"),
    ("fr", "trois virgule cinq", "3,5"),
    ("fr", "dix mille personnes", "10 000 personnes"),
    ("fr", "dix mille personnes", "10\u202f000 personnes"),
    ("fr", "mille neuf cent quatre-vingt-dix", "1990"),
    ("fr", "l'été", "l´été"),
    ("es", "tres punto cinco", "3.5"),
    ("es", "tres coma cinco", "3,5"),
    ("es", "mil quinientos", "1.500"),
    ("it", "tre virgola cinque", "3,5"),
    ("pt", "três vírgula cinco", "3,5"),
    ("nl", "drie komma vijf", "3,5"),
    ("ru", "три целых пять десятых", "3,5"),
    ("ru", "тысяча рублей", "1 000 рублей"),
    ("tr", "üç virgül beş", "3,5"),
    ("hi", "बारह फल", "१२ फल"),
    ("uk", "п'ять", "п’ять"),
    ("tr", "istanbul güzel", "İstanbul güzel"),
    ("tr", "ısparta", "ISPARTA"),
]


@pytest.mark.parametrize(("language", "spoken", "written"), SAME)
def test_the_same_words_are_no_errors(language, spoken, written):
    score = score_texts({"u": spoken}, {"u": written}, language=language)["u"]
    assert score["S"] + score["D"] + score["I"] == 0, score


@pytest.mark.parametrize(
    ("language", "reference", "hypothesis", "errors", "words"),
    [
        ("hi", "हिन्दी भाषा अच्छी है", "हिन्दी भाषा अच्छा है", 1, 4),  # one vowel sign
        ("hi", "राम ने फल खाया", "राम न फल खाय", 2, 4),
        ("ta", "நாளை வானிலை நன்றாக", "நாளை வனிலை நன்றாக", 1, 3),
        ("he", "שָׁלוֹם עולם", "שלום עולם", 1, 2),
        ("de", "ein Haus", "eine Haus", 1, 2),
        ("en", "ten thousand people", "ten thousand", 1, 2),
    ],
)
def test_marks_are_letters_and_errors_stay_errors(language, reference, hypothesis, errors, words):
    score = score_texts({"u": reference}, {"u": hypothesis}, language=language)["u"]
    assert (score["S"] + score["D"] + score["I"], score["N"]) == (errors, words)


def test_characters_count_marks():
    score = score_texts({"u": "हिन्दी"}, {"u": "हन्दी"}, language="hi", unit="characters")["u"]
    assert (score["D"], score["N"]) == (1, 6)


def test_other_languages():
    assert normalize("L'État, c'est 2 moi!", "fr") == "l'état c'est deux moi"
    assert normalize("¿Qué? 21", "es-MX") == "qué veintiuno"
    assert normalize("log in", "it") == "log in"  # English spellings are not touched
    assert normalize("Room 5", "tok") == "room 5"
    assert "no package reads them out" in describe("tok")["rules"]


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        (
            "Mr. Smith's 1,000 or 3.14, 21st",
            "en",
            "mister smith's one thousand or three point one four twenty first",
        ),
        ("Extension 2003: press * & 50%", "en", "extension two zero zero three press star and fifty percent"),
        ("Don´t, I'd've", "en", "don't i'd've"),
        ("हिन्दी १२", "hi", "हिन्दी बारह"),
        ("3,5 % von 1.000", "de", "drei komma fünf von eintausend"),
    ],
)
def test_spelt_for_units_and_dictionaries(text, language, words):
    assert spell(text, language) == words


def test_rules_and_versions_are_described():
    assert describe("en")["equivalent"]["voice mail"] == "voicemail"
    assert describe("fr")["packages"]["whisper-normalizer"]


def test_codes_of_languages():
    assert normalize("Mr. Smith in eighteen sixty", "eng") == normalize("mister smith in 1860", "en-GB")
    for wrong in ("xx", "english", ""):
        with pytest.raises(ValueError, match="no language has this code"):
            normalize("one", wrong)
