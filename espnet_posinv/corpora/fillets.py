"""Dialogue of the game Fish Fillets NG: Czech and Dutch, 22 kHz, with the texts of its scripts."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from espnet_posinv.corpora.fetch import FetchError, unpack

LANGUAGES = ("cs", "nl")
EMPTY = 3700  # bytes: smaller files are headers without sound
# A subtitle's font identifies its speaker, except these, which different speakers use in each level.
SHARED_FONTS = ("lightgrey", "darkgrey", "white", "yellow", "cyan", "brown", "green", "orange", "pink")

_DIALOGUE = re.compile(
    r'dialogId\("(?P<id>[^"]+)",\s*"font_(?P<font>\w+)"[^\n]*\)\s*dialogStr\("(?P<text>(?:[^"\\]|\\.)*)"\)'
)


def read_script(text: str) -> dict[str, tuple[str, str]]:
    """`{id: (voice, text)}` of a script's dialogues; the voice is the font of its subtitle.

    >>> read_script('dialogId("vit-hs-klid1", "font_statue", "Calm.")\\ndialogStr("Klid.")')
    {'vit-hs-klid1': ('statue', 'Klid.')}
    """
    found = {}
    for match in _DIALOGUE.finditer(text):
        voice = match["font"]
        if voice in SHARED_FONTS:
            voice += "_" + re.split(r"[-0-9]", match["id"])[0]
        found[match["id"]] = voice, " ".join(re.sub(r'\\(["\\])', r"\1", match["text"]).split())
    return found


def transcripts(language: str, downloads: Path, own: Iterable[Path] = ()) -> Iterator[tuple]:
    """Name, voice, text and path of each recording with a text in the scripts."""
    sounds = unpack(f"fillets-ng-data-{language}", downloads, own)
    scripts = unpack("fillets-ng-data", downloads, own)
    texts = {}
    for path in sorted(scripts.rglob(f"dialogs_{language}.lua")):
        texts |= read_script(path.read_text(encoding="utf-8"))
    if not texts:
        raise FetchError(f"{scripts}: no dialogs_{language}.lua in it; delete the folder and run again")
    named = {path.stem: path for path in sorted(sounds.rglob(f"{language}/*.ogg"), reverse=True)}
    for path in sorted(
        named.values()
    ):  # a name is a recording's key: of two files of one name the first is used
        voice, text = texts.get(path.stem, ("", ""))
        if path.stat().st_size < EMPTY or not re.search(r"\w", text) or re.search(r"[\[\]()<>0-9]", text):
            continue
        yield path.stem, voice, text, path
