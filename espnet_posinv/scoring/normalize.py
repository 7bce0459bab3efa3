"""Text normalisation before words are counted: what is a spelling and not a word must not be an error.

Recognisers write "Press 1 for voice mail." where a transcript says "press one for voicemail". English text
becomes lower-case words of letters and apostrophes; numbers and symbols are read out, and words that are
written in two ways get one. Other languages are lower-cased and stripped of punctuation, with numbers read
out where num2words knows the language.
"""

import re
import unicodedata

SYMBOLS = {"&": "and", "@": "at", "#": "pound", "*": "star", "%": "percent", "+": "plus", "=": "equals"}
EQUIVALENT = {  # after everything else; both sides of a comparison pass through it
    "call back": "callback",
    "cancelled": "canceled",
    "cell phone": "cellphone",
    "check in": "checkin",
    "dot": "point",
    "e mail": "email",
    "file name": "filename",
    "good bye": "goodbye",
    "key pad": "keypad",
    "log in": "login",
    "log off": "logoff",
    "log out": "logout",
    "mail box": "mailbox",
    "ok": "okay",
    "play back": "playback",
    "pre recorded": "prerecorded",
    "re enter": "reenter",
    "re record": "rerecord",
    "sign in": "signin",
    "thru": "through",
    "touch tone": "touchtone",
    "un mute": "unmute",
    "user name": "username",
    "voice mail": "voicemail",
    "web site": "website",
}
_EQUIVALENT = re.compile(r"\b(" + "|".join(sorted(EQUIVALENT, key=len, reverse=True)) + r")\b")


def normalize(text: str, language: str = "en") -> str:
    """Words of a text, separated by one blank.

    Args:
        text: a transcript or a recogniser's output.
        language: two-letter code; "en" has the full rules.
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)", " ", text)  # notes like [noise]
    if language == "en":
        for symbol, word in SYMBOLS.items():
            text = text.replace(symbol, f" {word} ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)  # 1,000
    text = _read_numbers(text, language)
    # Letters, and apostrophes between them, make words; all else separates them.
    text = re.sub(r"(?<!\w)'|'(?!\w)|[^\w']|[\d_]", " ", text)
    text = " ".join(text.split())
    return _EQUIVALENT.sub(lambda match: EQUIVALENT[match[0]], text) if language == "en" else text


def describe(language: str) -> dict:
    """The rules, for the record that stands beside a score."""
    if language != "en":
        return {"language": language, "rules": "NFKC, lower case, numbers read out, no punctuation"}
    rules = "NFKC, lower case, symbols and numbers read out (4 digits and more singly), no punctuation"
    return {"language": language, "rules": rules, "symbols": SYMBOLS, "equivalent": EQUIVALENT}


def _read_numbers(text: str, language: str) -> str:
    """Digits as words. Four digits and more are read singly, as telephone numbers and extensions are."""
    from num2words import num2words

    def words(number: int, **kind) -> str:
        return num2words(number, lang=language, **kind).replace("-", " ")

    def number(match: re.Match) -> str:
        whole, fraction = match["whole"], match["fraction"]
        digits = " ".join(words(int(d)) for d in whole) if len(whole) >= 4 else words(int(whole))
        if fraction:
            digits += " point " + " ".join(words(int(d)) for d in fraction)
        return f" {digits} "

    if not re.search(r"\d", text):
        return text
    try:
        if language == "en":
            text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: f" {words(int(m[1]), to='ordinal')} ", text)
        return re.sub(r"(?P<whole>\d+)(?:\.(?P<fraction>\d+))?", number, text)
    except NotImplementedError:
        raise ValueError(
            f"numbers cannot be read out in language {language!r} (num2words does not know it): "
            f"write the transcripts without digits; here: {text!r}"
        ) from None
