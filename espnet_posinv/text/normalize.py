"""Text normalisation, so that differences of spelling do not count as errors.

For instance, a recogniser writes "Mr. Smith left in 1860" for "MISTER SMITH LEFT IN EIGHTEEN SIXTY".
"""

import functools
import unicodedata
from importlib.metadata import version

import regex
from babel import Locale
from babel.core import get_global

from espnet_posinv.text import english
from espnet_posinv.text.letters import INSIDE, LETTER_APOSTROPHE, clean, words
from espnet_posinv.text.numbers import can_read, read_out, unify

PACKAGES = ("whisper-normalizer", "num2words", "text2num", "indic-numtowords", "babel")
NOTES = r"[<\[][^>\]]*[>\]]|\([^)]+?\)"  # [noise], (laughs), as Whisper's normalisers remove them


def normalize(text: str, language: str = "en") -> str:
    """Words of a text to compare, separated by one blank.

    English numbers become digits, as in Whisper's normaliser; numbers of other languages become words.

    Example:
        >>> normalize("Mr. Smith left in 1860") == normalize("MISTER SMITH LEFT IN EIGHTEEN SIXTY")
        True
    """
    language = code(language)
    text = clean(text, language)
    if language == "en":
        return english.normalize_english(text)
    text = INSIDE.sub(LETTER_APOSTROPHE, unify(regex.sub(NOTES, " ", text), language))
    return words(_basic()(text).replace(LETTER_APOSTROPHE, "'"))


def spell(text: str, language: str = "en") -> str:
    """Words as spoken, in letters, for a recogniser's units and for lexicons.

    Numbers become words; four or more English digits without a comma are read singly, like telephone numbers.

    Args:
        text, language: as in :func:`normalize`.
    """
    language = code(language)
    text = regex.sub(NOTES, " ", clean(text, language))
    if language == "en":
        text = english.titles(english.expand(text)).replace("%", " percent ")
        text = regex.sub(r"(?<![\d.,])\d{4,}(?![\d.,]*\d)", lambda match: " ".join(match[0]), text)
        text = regex.sub(r"\b(\d+)(?:st|nd|rd|th)\b", _ordinal, text)
    return words(read_out(text, language))


@functools.cache
def code(language: str) -> str:
    """The shortest code of a language: en for eng and en-GB.

    Raises:
        ValueError: no language has this code.
    """
    first = regex.split("[-_]", language.lower())[0]
    if first not in Locale("en").languages:
        first = get_global("language_aliases").get(first, first)
        # Unicode has not all of three letters
        if len(first) != 3 and first not in Locale("en").languages:
            raise ValueError(
                f"language {language!r}: no language has this code; write en, cs or pt-BR, for instance"
            )
    return first


def reads_numbers(language: str) -> bool:
    """Whether digits and numbers in words are normalised to the same words."""
    return can_read(code(language))


def describe(language: str) -> dict:
    """Rules and versions, for the record beside a score."""
    record = {"language": language, "packages": {name: version(name) for name in PACKAGES}}
    record["unicode"] = unicodedata.unidata_version
    if code(language) == "en":
        rules = "Whisper's English normaliser; symbols and abbreviations in words, adjacent numbers joined"
        return {**record, "rules": rules, "symbols": english.SYMBOLS, "equivalent": english.EQUIVALENT}
    rules = "Whisper's basic normaliser, marks and inner apostrophes kept, "
    known = reads_numbers(language)
    rules += "numbers read out" if known else "digits unchanged: no package reads them out"
    return {**record, "rules": rules}


def _ordinal(match: regex.Match) -> str:
    from num2words import num2words

    return f" {num2words(int(match[1]), to='ordinal')} "


@functools.cache
def _basic():
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer(preserve_marks=True)
