"""Telephone prompts of the Asterisk project: studio recordings in G.722 (7 kHz) with their texts."""

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.fetch import FetchError, unpack

SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "maxim"}

# Misprints of the English text file; what is said was heard.
_MISPRINTS = {
    "indentified": "identified",
    "witheld": "withheld",
    "represenatives": "representatives",
    "umute": "unmute",
    "thru": "through",
}


@dataclass(frozen=True)
class Prompt:
    """One recording and what is said in it."""

    name: str  # e.g. "conf-getpin", "digits/oclock"
    language: str
    text: str
    path: Path

    @property
    def speaker(self) -> str:
        """Speaker and language, e.g. "en-allison"."""
        return f"{self.language}-{SPEAKERS[self.language]}"

    @property
    def key(self) -> str:
        """Utterance id: the speaker is its prefix, as Kaldi's sorting wants it."""
        return f"{self.speaker}-{self.name.replace('/', '_')}"

    def read(self) -> np.ndarray:
        """Samples `(T,)` float32 at 16 kHz."""
        return read_audio(self.path)


def read_texts(path: Path) -> dict[str, str]:
    """Read `name: text` lines of a (gzipped) text file; entries with notes in brackets are left out.

    A bracket tells of a sound that is no speech ("[ascending tones]"), of a pronunciation or of a doubt
    about the wording, so such a text is no transcript.
    """
    texts = {}
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith(";") or ": " not in line:
                continue
            name, text = line.strip().split(": ", 1)
            if re.search(r"[\[\]()<>\ufffd]", text) or name.startswith(("silence/", "tt-", "beep")):
                continue
            text = re.sub(r"\w+", lambda m: _MISPRINTS.get(m.group(), m.group()), text)
            text = text.replace("*", " star ").replace("#", " pound ")
            texts[name] = " ".join(text.split())
    return texts


def prompts(language: str, downloads: Path, own: Iterable[Path] = ()) -> list[Prompt]:
    """All prompts of `language` that have both a recording and a transcript, sorted by name."""
    sounds = unpack(f"asterisk-core-sounds-{language}-g722", downloads, own)
    words = unpack(f"asterisk-core-sounds-{language}", downloads, own)
    found = list(words.rglob("core-sounds-*.txt.gz"))
    if not found:
        raise FetchError(f"{words}: no core-sounds-*.txt.gz in it; delete the folder and run again")
    texts = read_texts(found[0])
    root = next((sounds / "usr/share/asterisk/sounds").iterdir())
    result = []
    for path in sorted(root.rglob("*.g722")):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in texts and path.stat().st_size:
            result.append(Prompt(name, language, texts[name], path))
    return result
