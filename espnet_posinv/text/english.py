"""English: Whisper's normaliser, with additions.

The package handles titles, contractions, British spellings, and numbers in words and digits ("eighteen sixty"
is 1860). But it drops symbols that are spoken, treats a letter between quotes as a contraction, and leaves "1
2 3" and "one two three" different.
"""

import functools

import regex

SYMBOLS = {"&": "and", "@": "at", "#": "pound", "*": "star", "+": "plus", "=": "equals", "°": "degrees"}
ABBREVIATIONS = {
    r"\b(sgt)\.": "sergeant",
    r"\b(maj)\.": "major",
    r"\b(mt)\.": "mount",
    r"\bno\. ?(?=\d)": "number ",
    r"\betc\b": "et cetera",
    r"\bvs\b": "versus",
    r"(?<![\p{L}\d])[-−](?=\d)": "minus ",
    r"\ba (?=(?:hundred|thousand|million|billion)\b)": "one ",
}
# Spelled as one word or two, in the normaliser's spelling; applied to both sides of a comparison
EQUIVALENT = {
    "call back": "callback",
    "cell phone": "cellphone",
    "check in": "checkin",
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
    "to day": "today",
    "to morrow": "tomorrow",
    "to night": "tonight",
    "touch tone": "touchtone",
    "un mute": "unmute",
    "user name": "username",
    "voice mail": "voicemail",
    "web site": "website",
}
_EQUIVALENT = regex.compile(r"\b(" + "|".join(sorted(EQUIVALENT, key=len, reverse=True)) + r")\b")


def normalize_english(text: str) -> str:
    """A cleaned text (:func:`~.letters.clean`) in the spelling of Whisper's normaliser."""
    text = regex.sub(
        r"(?<![\p{L}\p{N}])'|'(?![\p{L}\p{N}])", " ", expand(text)
    )  # quotes; inside a word they stay
    text = regex.sub(r"(?<![\d.,])0+(?=\d)", lambda match: "zero " * len(match[0]), text)  # 007
    text = _whisper()(text)
    # It writes "one" for 1, and joins numbers in words only: one two three is 123, so make 1 2 3 the same
    text = regex.sub(r"\bone(?=(?: one)* \d)|(?<=\d (?:one )*)one\b", "1", text)
    text = regex.sub(r"(?<=(?:^| )\d+) (?=\d+(?: |$))", "", text)
    text = _EQUIVALENT.sub(lambda match: EQUIVALENT[match[0]], text)
    # it leaves a dot of ...
    return " ".join(word for word in text.split() if regex.search(r"[\p{L}\p{N}]", word))


def expand(text: str) -> str:
    """Symbols and abbreviations in words."""
    for pattern, word in ABBREVIATIONS.items():
        text = regex.sub(pattern, word, text)
    for symbol, word in SYMBOLS.items():
        text = text.replace(symbol, f" {word} ")
    return text


def titles(text: str) -> str:
    """Abbreviated titles in full, by the package's list: mr becomes mister."""
    for pattern, word in _whisper().replacers.items():
        if word.endswith(" "):  # titles in the list, unlike contractions, end in a blank
            text = regex.sub(pattern + r"\.?", word, text)
    return text


@functools.cache
def _whisper():
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()
