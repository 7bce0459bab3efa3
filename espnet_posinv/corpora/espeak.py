"""Phones of words from the program espeak-ng, which is run, not linked; lexicons of several languages.

A lexicon is a file of lines ``language word phone phone ...`` between blanks, with words as in normalised
text. The program is run only for words that the lexicon lacks.
"""

import re
import subprocess
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.text.normalize import spell

VOICES = {"en": "en-us", "fr": "fr-fr"}  # others: the language's own name
# Marks of stress, length, aspiration, syllabicity and a change of language are not phones.
_MARKS = re.compile(r"\([a-z-]+\)|[ˈˌːˑʰʲ`'\"^-]")


class Lexicon:
    """Pronunciations by language and word.

    >>> Lexicon({("en", "hello"): ("h", "ə", "l", "oʊ")}).phones("Hello!", "en")
    'h ə l oʊ'
    """

    def __init__(self, table: Mapping[tuple[str, str], tuple[str, ...]] | None = None):
        self.table = dict(table or {})

    @classmethod
    def read(cls, path: str | Path) -> "Lexicon":
        """Read a lexicon file.

        Raises:
            DataError: a line without phones.
        """
        table = {}
        for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
            language, word, *phones = line.split(" ")
            if not phones:
                raise DataError(f"{path}:{number}: {line!r}: lines are LANGUAGE WORD PHONE PHONE ...")
            table[language, word] = tuple(phones)
        return cls(table)

    def write(self, path: str | Path) -> None:
        """Write it, sorted."""
        with atomic_write(path) as file:
            for (language, word), phones in sorted(self.table.items()):
                file.write(f"{' '.join((language, word, *phones))}\n")

    def add(self, texts: Iterable[str], language: str) -> None:
        """Add the words that are missing, by espeak-ng."""
        words = {word for text in texts for word in spell(text, language).split()}
        new = sorted(word for word in words if (language, word) not in self.table)
        if new:
            phones = pronounce(new, language)
            self.table |= {(language, word): p for word, p in zip(new, phones, strict=True)}

    def phones(self, text: str, language: str) -> str:
        """Phones of a text, between blanks."""
        self.add([text], language)
        words = spell(text, language).split()
        return " ".join(phone for word in words for phone in self.table[language, word])


def pronounce(words: list[str], language: str) -> list[tuple[str, ...]]:
    """Phones of each word, spoken alone, as IPA symbols without stress and length.

    Raises:
        DataError: espeak-ng is not installed, lacks the language, or gives no phones for a word.
    """
    command = ["espeak-ng", "-q", "-v", VOICES.get(language, language), "--ipa", "--sep= ", "--stdin"]
    # one paragraph a word: espeak-ng would link words of one paragraph
    try:
        done = subprocess.run(
            command, input="\n\n".join(words) + "\n\n", capture_output=True, encoding="utf-8", check=True
        )
    except FileNotFoundError:
        raise DataError(
            f"espeak-ng is not installed, and the lexicon lacks {len(words)} words of {language!r}, like "
            f"{words[0]!r}; install it (apt-get install espeak-ng)"
        ) from None
    except subprocess.CalledProcessError as error:
        raise DataError(f"{' '.join(command)}: {error.stderr.strip()}") from None
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if len(lines) != len(words):
        raise DataError(f"espeak-ng -v {language}: {len(lines)} pronunciations of {len(words)} words")
    return [symbols(line) for line in lines]


def symbols(line: str) -> tuple[str, ...]:
    """Phones of a line of espeak-ng: between blanks, with marks.

    >>> symbols("h ə l ˈoʊ")
    ('h', 'ə', 'l', 'oʊ')
    """
    plain = _MARKS.sub("", unicodedata.normalize("NFD", line))
    plain = "".join(c for c in plain if not unicodedata.combining(c) or c == "\u0303")  # nasal vowels stay
    return tuple(unicodedata.normalize("NFC", plain).split())
