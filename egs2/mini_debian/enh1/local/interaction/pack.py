"""Data directories as one small file, for a machine that nothing else reaches: Opus in a tar archive."""

import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.files import new_folder, replacing
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.sample_rate import SAMPLE_RATE

TEXTS = ("text", "text_phones", "utt2group", "utt2noise", "utt2snr", "utt2lang")
PIECE = 600 * SAMPLE_RATE  # samples of a file


def pack(lists: Iterable[tuple[str, Path, int]], output: Path) -> int:
    """Write an archive.

    Args:
        lists: name in the archive, scp file and kbit/s; the `TEXTS` beside a scp file come along.
        output: the archive; it appears when it is complete.

    Returns:
        Its bytes.
    """
    with replacing(output) as temporary, tarfile.open(temporary, "w") as tar:
        for name, scp, kbits in lists:
            index, held, samples, pieces = [], [], 0, 0
            entries = list(read_scp(scp).items())
            for number, (key, entry) in enumerate(entries, 1):
                x = read_mono(entry, SAMPLE_RATE)
                index.append(f"{key}\t{pieces}\t{samples}\t{len(x)}\n")
                held.append(x)
                samples += len(x)
                if samples >= PIECE or number == len(entries):
                    _add(tar, f"{name}/{pieces}.ogg", opus(np.concatenate(held), kbits))
                    held, samples, pieces = [], 0, pieces + 1
            _add(tar, f"{name}/index.tsv", "".join(index).encode())
            for text in TEXTS:
                if (scp.parent / text).is_file():
                    _add(tar, f"{name}/{text}", (scp.parent / text).read_bytes())
    return os.path.getsize(output)


def opus(x: np.ndarray, kbits: int) -> bytes:
    """Samples `(T,)` as an Ogg file."""
    import av  # not where the archive is unpacked

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        options = {"compression_level": "4"}
        stream = container.add_stream(
            "libopus", rate=SAMPLE_RATE, layout="mono", bit_rate=1000 * kbits, options=options
        )
        pcm = (np.clip(x, -1, 1) * 32767).round().astype(np.int16)
        for start in range(0, len(pcm), PIECE // 30):
            block = pcm[None, start : start + PIECE // 30]
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def unpack(archive: Path, folder: Path) -> None:
    """Wav files, `wav.scp` and the texts of each list, in `folder`/NAME.

    Raises:
        DataError: no archive of `pack`.
    """
    with tarfile.open(archive) as tar:
        files: dict[str, dict[str, tarfile.TarInfo]] = {}
        for member in tar.getmembers():
            name, _, file = member.name.partition("/")
            files.setdefault(name, {})[Path(file).name] = member
        for name, members in files.items():
            if "index.tsv" not in members:
                raise DataError(f"{archive}: no index of {name}; make it with pack")
            if (folder / name).is_dir():
                continue
            with new_folder(folder / name) as part:
                for file, member in members.items():
                    content = tar.extractfile(member)
                    assert content is not None
                    (part / file).write_bytes(content.read())
                _cut(part, (folder / name).resolve())


def _cut(part: Path, place: Path) -> None:
    """The recordings of `part`, which will stand at `place`, as files of their own."""
    piece_at, samples_at, lines = "", np.zeros(0, np.int16), []
    for line in (part / "index.tsv").read_text(encoding="utf-8").splitlines():
        key, piece, start, samples = line.split("\t")
        if piece != piece_at:
            piece_at, samples_at = piece, soundfile.read(part / f"{piece}.ogg", dtype="int16")[0]
        x = samples_at[int(start) : int(start) + int(samples)]
        soundfile.write(part / f"{key}.wav", x, SAMPLE_RATE)
        lines.append(f"{key} {place}/{key}.wav\n")
    (part / "wav.scp").write_text("".join(lines), encoding="utf-8")
