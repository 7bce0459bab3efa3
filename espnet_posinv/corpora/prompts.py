"""Recordings with transcripts: who says what, and where it lies."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.corpora import asterisk, fillets
from espnet_posinv.corpora.audio import read_audio

SOURCES = {
    **dict.fromkeys(asterisk.SPEAKERS, asterisk.transcripts),
    **dict.fromkeys(fillets.LANGUAGES, fillets.transcripts),
}
LANGUAGES = tuple(sorted(SOURCES))


@dataclass(frozen=True)
class Prompt:
    """One recording and what is said in it."""

    name: str  # e.g. "conf-getpin", "digits/oclock"
    language: str  # two letters
    voice: str  # e.g. "allison"
    text: str
    path: Path

    @property
    def speaker(self) -> str:
        """Language and voice, e.g. "en-allison"."""
        return f"{self.language}-{self.voice}"

    @property
    def key(self) -> str:
        """Utterance id: the speaker is its prefix, as Kaldi's sorting wants it."""
        return f"{self.speaker}-{self.name.replace('/', '_')}"

    @property
    def seconds(self) -> float:
        """Its length, as far as it can be told without decoding it."""
        if self.path.suffix == ".g722":
            return self.path.stat().st_size / 8000  # bytes a second
        return soundfile.info(str(self.path)).duration

    def read(self) -> np.ndarray:
        """Samples `(T,)` float32 at 16 kHz."""
        return read_audio(self.path)


def prompts(language: str, downloads: Path, own: Iterable[Path] = ()) -> list[Prompt]:
    """All prompts of a language (`LANGUAGES`) with both a recording and a transcript, sorted by name."""
    rows = SOURCES[language](language, downloads, own)
    return [Prompt(name, language, voice, text, path) for name, voice, text, path in sorted(rows)]
