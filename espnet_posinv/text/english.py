"""English: Whisper's normaliser, and what it lacks.

The package knows titles, contractions, British spellings, and numbers in words and digits ("eighteen sixty"
is 1860). It drops symbols that somebody says, takes a letter between quotes for a contraction, and leaves
"1 2 3" and "one two three" different.
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
# One word or two, as the normaliser writes them; both sides of a comparison pass through it
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
    """Words as Whisper's normaliser writes them, of a cleaned text (:func:`~.letters.clean`)."""
    text = regex.sub(
        r"(?<![\p{L}\p{N}])'|'(?![\p{L}\p{N}])", " ", expand(text)
    )  # quotes; inside a word they stay
    text = regex.sub(r"(?<![\d.,])0+(?=\d)", lambda match: "zero " * len(match[0]), text)  # 007
    text = _whisper()(text)
    # It writes "one" for 1, and joins numbers in words alone: one two three is 123, so 1 2 3 is, too
    text = regex.sub(r"\bone(?=(?: one)* \d)|(?<=\d (?:one )*)one\b", "1", text)
    text = regex.sub(r"(?<=(?:^| )\d+) (?=\d+(?: |$))", "", text)
    text = _EQUIVALENT.sub(lambda match: EQUIVALENT[match[0]], text)
    # Of ... a dot is left
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
        if word.endswith(" "):  # so does the list tell titles from contractions
            text = regex.sub(pattern + r"\.?", word, text)
    return text


@functools.cache
def _whisper():
    from whisper_normalizer.english import EnglishTextNormalizer

    return EnglishTextNormalizer()
