"""Telephone prompts of the Asterisk project: studio recordings in G.722 (7 kHz) with their texts."""

import gzip
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from espnet_posinv.corpora.fetch import FetchError, unpack

SPEAKERS = {"en": "allison", "es": "allison", "fr": "june", "it": "carlo", "ru": "maxim"}

# Misprints in the English text file, corrected by listening.
_MISPRINTS = {
    "indentified": "identified",
    "witheld": "withheld",
    "represenatives": "representatives",
    "umute": "unmute",
    "thru": "through",
}


def read_texts(path: Path) -> dict[str, str]:
    """Read `name: text` lines of a (gzipped) text file; entries with notes in brackets are left out.

    Brackets mark a sound that is no speech ("[ascending tones]"), a pronunciation or an uncertain wording, so
    such a text is no transcript.
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


def transcripts(language: str, downloads: Path, own: Iterable[Path] = ()) -> Iterator[tuple]:
    """Name, voice, text and path of each recording of `language` that has a transcript."""
    sounds = unpack(f"asterisk-core-sounds-{language}-g722", downloads, own)
    words = unpack(f"asterisk-core-sounds-{language}", downloads, own)
    found = list(words.rglob("core-sounds-*.txt.gz"))
    if not found:
        raise FetchError(f"{words}: no core-sounds-*.txt.gz in it; delete the folder and run again")
    texts = read_texts(found[0])
    root = next((sounds / "usr/share/asterisk/sounds").iterdir())
    for path in root.rglob("*.g722"):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in texts and path.stat().st_size:
            yield name, SPEAKERS[language], texts[name], path
