"""Recordings with transcripts: text, voice and path of each."""

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
    """One recording and its text."""

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
        """Utterance id, with the speaker as prefix, as Kaldi's sorting requires."""
        return f"{self.speaker}-{self.name.replace('/', '_')}"

    @property
    def seconds(self) -> float:
        """Its length, from the file's size or header."""
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
