"""Speech of the freeware game Flight of the Amazon Queen: MP3 files inside one archive.

The archive begins with a table: "QTBL", six bytes of version, three flag bytes, a big-endian uint16 count,
then 21 bytes for each file: name (12 bytes, zero-padded), bundle (1), offset and size (big-endian uint32).
"""

import io
import struct
from pathlib import Path

import numpy as np

from espnet_posinv.corpora.audio import read_audio


def voice(name: str) -> str:
    """Who speaks `name`, e.g. "0312B4P3.SB": "joe" (J) or a person (P) of dialogue 0312."""
    return "joe" if "J" in (name[0], name[6]) else f"dialogue{name[:4]}"


def speech(path: Path) -> dict[str, np.ndarray]:
    """`{name: samples (T,) float32 at 16 kHz}` of all speech files in `queen.1c`.

    Raises:
        ValueError: the file does not begin with the table.
    """
    data = path.read_bytes()
    if data[:4] != b"QTBL":
        raise ValueError(f"{path}: begins with {data[:4]!r}, not with b'QTBL': not the packed game data")
    (count,) = struct.unpack(">H", data[13:15])
    result = {}
    for i in range(count):
        name, _, offset, size = struct.unpack(">12sBII", data[15 + 21 * i : 36 + 21 * i])
        name = name.split(b"\0")[0].decode("ascii")
        if name.endswith(".SB"):  # speech; the rest is scripts, pictures and effects
            result[name] = read_audio(io.BytesIO(data[offset : offset + size]), form="mp3")
    return result
