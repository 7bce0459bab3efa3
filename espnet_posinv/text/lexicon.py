"""Pronunciations: from a dictionary file, or from g2p_en; the references of phoneme recognition."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

from espnet_posinv.kaldi.scp import DataError, entries

GIVEN = "given"  # in place of a lexicon: the transcripts are phones


def pronouncer(lexicon: str) -> Callable[[str], tuple[str, ...] | None]:
    """A function from a word of normalised text to its phones, or None for an unknown word.

    Args:
        lexicon: a file (see :func:`read_lexicon`); or "g2p_en" for English: the CMU dictionary, and for other
            words of a to z that package's network; or "given": the words are phones. Several separated by
            commas: the first one that has the word is used.

    Raises:
        DataError: no such file, or g2p_en without its data.
    """
    if "," in lexicon:
        names = lexicon.split(",")  # each is read when a word needs it
        return lambda word: next((phones for name in names if (phones := pronouncer(name)(word))), None)
    if lexicon == GIVEN:
        return lambda word: (word,)
    if lexicon == "g2p_en":
        return _g2p_en()
    return read_lexicon(lexicon).get


def phones_of(text: str, pronounce: Callable[[str], tuple[str, ...] | None]) -> list[str]:
    """Phones of a normalised text, word after word.

    Raises:
        DataError: words without pronunciation; up to ten are listed.
    """
    found = {word: pronounce(word) for word in text.split()}
    if lacking := [word for word, phones in found.items() if phones is None]:
        raise DataError(
            f"no pronunciation of {len(lacking)} words: {', '.join(lacking[:10])}; add them to the lexicon"
        )
    return [phone for word in text.split() for phone in found[word]]


@functools.lru_cache(maxsize=4)
def read_lexicon(path: str | Path) -> dict[str, tuple[str, ...]]:
    """The first pronunciation of each word of a dictionary file; words in lower case.

    Lines are ``WORD PHONE PHONE ...`` with blanks or tabs: Kaldi's lexicon.txt or lexiconp.txt (probabilities
    are ignored), LibriSpeech's lexicon or the CMU dictionary (further pronunciations ``word(2)`` and comments
    ``;;;`` are ignored).

    Raises:
        DataError: a word without phones, or no word at all.
    """
    table: dict[str, tuple[str, ...]] = {}
    for number, key, value in entries(path):
        word, phones = re.sub(r"\(\d+\)$", "", key).lower(), value.split()
        if key.startswith(";;;") or not key:
            continue
        if phones and re.fullmatch(r"[01]?\.\d+|1|1\.0*", phones[0]):
            phones = phones[1:]
        if not phones:
            raise DataError(f"{path}:{number}: {key!r} has no phones; lines are WORD PHONE PHONE ...")
        table.setdefault(word, tuple(phones))
    if not table:
        raise DataError(f"{path}: holds no word")
    return table


@functools.cache
def _g2p_en() -> Callable[[str], tuple[str, ...] | None]:
    try:
        import g2p_en

        network = g2p_en.G2p()
    except (ImportError, LookupError):
        raise DataError(
            "g2p_en: the package or its data is missing; pip install g2p_en, then python -m nltk.downloader "
            "cmudict averaged_perceptron_tagger_eng; or give a lexicon file"
        ) from None

    def pronounce(word: str) -> tuple[str, ...] | None:
        if known := network.cmu.get(word):
            return tuple(known[0])
        return tuple(network.predict(word)) if re.fullmatch("[a-z']+", word) else None

    return pronounce
