"""Truncated audio files: shorter than their headers say.

libsndfile reads such files without an error. (It does not decode a truncated FLAC, CAF or MP3 file, or
returns fewer samples than the header says.)
"""

import os
import struct
from typing import BinaryIO

_UNKNOWN = 0x7FFFF000  # programs that write into a pipe set a length from here on


def lacking(file: BinaryIO, size: int) -> str:
    """A message about missing audio between the position of ``file`` and ``size``; "" if it is complete.

    Args:
        file: WAV (RIFF, RIFX, RF64, Wave64), AIFF, AU, NIST SPHERE or Ogg; other formats are not checked.
        size: of the file.
    """
    start = file.tell()
    magic = file.read(4)
    if magic == b"OggS":
        return _ogg(file, start, size)
    promised = None
    if magic in (b"RIFF", b"RIFX", b"RF64"):
        promised = _chunks(file, ">" if magic == b"RIFX" else "<", b"data")
    elif magic == b"FORM":
        promised = _chunks(file, ">", b"SSND")
    elif magic == b"riff":  # Wave64 has the size of the file
        file.seek(start + 16)
        promised = struct.unpack("<Q", _exactly(file, 8))[0]
        file.seek(start)
    elif magic == b".snd":
        offset, promised = struct.unpack(">II", _exactly(file, 8))
        file.seek(start + offset)
    elif magic == b"NIST":
        promised = _sphere(file, start)
    if promised is None or _UNKNOWN <= promised <= 0xFFFFFFFF:
        return ""
    present = size - file.tell()
    return f"cut off: {present} of {promised} bytes are there" if present < promised else ""


def _exactly(file: BinaryIO, count: int) -> bytes:
    return file.read(count).ljust(count, b"\0")


def _chunks(file: BinaryIO, order: str, wanted: bytes) -> int | None:
    """Bytes of the chunk of samples; the file's position is then their begin."""
    file.seek(8, os.SEEK_CUR)
    of_ds64 = None
    while len(head := file.read(8)) == 8:
        length = struct.unpack(f"{order}I", head[4:])[0]
        if head[:4] == wanted:
            return length if of_ds64 is None or length != 0xFFFFFFFF else of_ds64
        if head[:4] == b"ds64":  # of RF64: sizes of 64 bits, the second is that of the samples
            of_ds64 = struct.unpack("<QQ", _exactly(file, 16))[1]
            length -= 16
        file.seek(length + length % 2, os.SEEK_CUR)
    return None


def _sphere(file: BinaryIO, start: int) -> int | None:
    """Bytes of the samples of a SPHERE file that is not compressed."""
    file.seek(start)
    head = file.read(16).split()
    if len(head) < 2 or not head[1].isdigit():
        return None
    fields = {}
    for line in file.read(int(head[1]) - 16).split(b"\n"):
        words = line.split()
        if len(words) == 3:
            fields[words[0]] = words[2]
    if b"," in fields.get(b"sample_coding", b""):  # as in pcm,embedded-shorten-v2.00
        return None
    try:
        counts = [int(fields[k]) for k in (b"sample_count", b"sample_n_bytes")]
        return counts[0] * counts[1] * int(fields.get(b"channel_count", 1))
    except (KeyError, ValueError):
        return None


def _ogg(file: BinaryIO, start: int, size: int) -> str:
    """The last page of an Ogg stream is marked as such."""
    file.seek(max(start, size - 0x20000))  # two of the longest pages
    tail = file.read(size - file.tell())
    at = tail.rfind(b"OggS")
    whole = 0 <= at < len(tail) - 5 and tail[at + 5] & 4
    return "" if whole else "cut off: the Ogg stream has no last page"
