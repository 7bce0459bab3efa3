"""Characters: one code for each, words of letters and marks, scripts without blanks."""

import unicodedata
from collections.abc import Iterable

import regex

# Characters used as apostrophes; NFKC would turn U+00B4 into a blank and an accent
APOSTROPHES = regex.compile(
    "[\u2018\u2019\u201b\u02bc\u02bb\u02b9\u02bd\u2032\u00b4`\uff07\ua78c\u055a\u05f3]"
)
INSIDE = regex.compile(r"(?<=[\p{L}\p{M}\p{N}])'(?=[\p{L}\p{N}])")  # part of a word; others are quotes
LETTER_APOSTROPHE = "\u02bc"  # by Unicode a letter, so that no normaliser takes it for punctuation
WITHOUT_BLANKS = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}]"
)


def clean(text: str, language: str) -> str:
    """Lower case with one code for each character, apostrophe, digit and blank.

    NFKC; invisible characters (soft hyphens, zero-width characters, byte-order marks: category Cf, and
    variation selectors) are removed. Turkish and Azerbaijani have a dotted and a dotless i; elsewhere a
    capital with a dot is an i.
    """
    text = regex.sub(r"[\p{Cf}\ufe00-\ufe0f]", "", text)
    text = regex.sub(
        "(?<=\\d)[\u00a0\u2009\u202f'\u2019](?=\\d{3}(?!\\d))", "", text
    )  # thousands in any language
    text = unicodedata.normalize("NFKC", APOSTROPHES.sub("'", text))
    text = regex.sub(r"\p{Nd}", lambda digit: str(unicodedata.decimal(digit[0])), text)
    text = text.replace("İ", "i")
    if language in ("tr", "az"):
        text = text.replace("I", "ı")
    return unicodedata.normalize("NFKC", text.lower())


def words(text: str) -> str:
    """Words: letters with their marks, numbers and inner apostrophes; all else becomes blank."""
    text = regex.sub(r"[^\p{L}\p{M}\p{N}']|(?<![\p{L}\p{M}\p{N}])\p{M}+", " ", text)
    text = INSIDE.sub(LETTER_APOSTROPHE, text).replace("'", " ")
    return " ".join(text.replace(LETTER_APOSTROPHE, "'").split())


def lacks_blanks(texts: Iterable[str]) -> bool:
    """Whether most letters are of a script without blanks between words, and the texts have no blanks.

    Texts that were segmented into words have blanks in most texts of two letters or more.
    """
    letters = foreign = long = cut = 0
    for text in texts:
        here = len(WITHOUT_BLANKS.findall(text))
        letters, foreign = letters + len(regex.findall(r"\p{L}", text)), foreign + here
        if here > 1:
            long, cut = long + 1, cut + (" " in text.strip())
    return 2 * foreign > letters and 2 * cut <= long
