import pytest

from espnet_posinv.scoring.normalize import describe, normalize


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Press 1, for voice-mail.", "press one for voicemail"),
        ("  It’s OK — don't  'worry'! ", "it's okay don't worry"),
        ("Extension 2003 is 42.", "extension two zero zero three is forty two"),
        ("the 3rd and 21st of 12", "the third and twenty first of twelve"),
        ("1,000 or 3.14", "one zero zero zero or three point one four"),
        ("press * then # & wait", "press star then pound and wait"),
        ("50% at 5°", "fifty percent at five"),
        ("Thru the mail box, log-in", "through the mailbox login"),
        ("[noise] hello (sighs)", "hello"),
        ("Re-record. Un-mute.", "rerecord unmute"),
        ("rock 'n' roll", "rock n roll"),
        ("I'd've said cafe\u0301", "i'd've said café"),
        ("...", ""),
        ("", ""),
    ],
)
def test_english(text, words):
    assert normalize(text) == words


def test_is_idempotent_and_joins_only_whole_words():
    for text in ("Press 1 for voice-mail.", "log in", "dot com", "thru"):
        assert normalize(normalize(text)) == normalize(text)
    assert normalize("monologue in the catalog inn") == "monologue in the catalog inn"


def test_other_languages():
    assert normalize("L'État, c'est 2 moi!", "fr") == "l'état c'est deux moi"
    assert normalize("¿Qué? 21", "es") == "qué veintiuno"
    assert normalize("log in", "it") == "log in"  # English spellings are not touched
    with pytest.raises(ValueError, match=r"numbers cannot be read out in language 'xx'.*'room 5'"):
        normalize("Room 5", "xx")
    assert normalize("no digits", "xx") == "no digits"


def test_rules_are_described():
    assert describe("en")["equivalent"]["voice mail"] == "voicemail"
    assert describe("fr")["language"] == "fr"
