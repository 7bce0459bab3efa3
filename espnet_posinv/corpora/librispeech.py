"""LibriSpeech (Panayotov et al., ICASSP 2015): from tarballs or folders to Kaldi data directories.

The layout is the corpus's own, in a folder with the parts, with a ``LibriSpeech`` folder of them, or with
their tarballs::

    train-clean-100/103/1240/103-1240-0000.flac      part/reader/chapter/utterance
    train-clean-100/103/1240/103-1240.trans.txt      lines "103-1240-0000 CHAPTER ONE MISSUS RACHEL ..."
"""

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import soundfile

from espnet_posinv.corpora.download import download
from espnet_posinv.corpora.fetch import check_space
from espnet_posinv.files import new_folder
from espnet_posinv.kaldi.datadir import write_data_dir
from espnet_posinv.kaldi.entry import state
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.text.lexicon import read_lexicon

MIRRORS = (
    "https://www.openslr.org/resources/12",
    "https://openslr.elda.org/resources/12",
    "https://openslr.magicdatatech.com/resources/12",
)

TARBALL_NOTE = ".unpacked_from"  # size and times of the tarball, if it was the user's
LEXICON, LEXICON_WORDS = "librispeech-lexicon.txt", 190_000  # openslr.org/resources/11; it has 200,000


class Part(NamedTuple):
    """A published part: MD5 and bytes of its tarball (openslr.org/resources/12), utterances and hours."""

    md5: str
    size: int
    utterances: int
    hours: float


PARTS = {
    "dev-clean": Part("42e2234ba48799c1f50f24a7926300a1", 337926286, 2703, 5.4),
    "dev-other": Part("c8d0bcc9cca99d4f8b62fcc847357931", 314305928, 2864, 5.3),
    "test-clean": Part("32fa31d27d2e1cad72775fee3f4849a9", 346663984, 2620, 5.4),
    "test-other": Part("fb5a50374b501bb3bac4815ee91d3135", 328757843, 2939, 5.1),
    "train-clean-100": Part("2a93770f6d5c6c964bc36631d331a522", 6387309499, 28539, 100.6),
    "train-clean-360": Part("c0e676e450a7ff2f54aeade5171606fa", 23049477885, 104014, 363.6),
    "train-other-500": Part("d1a0fd59409feb2c614ce4d30c387708", 30593501606, 148688, 496.7),
}


def find_part(
    name: str,
    own: Path | None,
    downloads: Path,
    *,
    mirrors: Sequence[str] = MIRRORS,
    say: Callable[[str], None] = print,
) -> Path:
    """Folder of a part: the user's, or unpacked from a tarball, or fetched from OpenSLR and unpacked.

    Args:
        name: of the part, like ``train-clean-100``.
        own: the user's folder, with the part, with a LibriSpeech folder that has it, or with its tarball;
            None: fetch what `downloads` does not have.
        downloads: keeps tarballs and unpacked parts.

    Raises:
        DataError: unknown name, nothing of it in `own`, or a broken tarball.
        FetchError: it cannot be fetched.
    """
    if name not in PARTS:
        raise DataError(f"LibriSpeech has no part {name!r}; there are {', '.join(PARTS)}")
    unpacked = Path(downloads) / "LibriSpeech" / name
    if own is not None:
        for folder in (own / name, own / "LibriSpeech" / name):
            if folder.is_dir():
                return folder
        tarball = own / f"{name}.tar.gz"
        if not tarball.exists():
            hint = "name the folder above its parts" if set(own.parts) & PARTS.keys() else "correct it"
            raise DataError(
                f"{own}: neither {name}, LibriSpeech/{name} nor {tarball.name} in it; it is LIBRISPEECH in "
                f"db.sh: {hint}, or leave it empty to fetch the corpus"
            )
    else:
        tarball = Path(downloads) / f"{name}.tar.gz"
    # What was unpacked from one's own tarball serves neither for another one nor as the published part.
    note, wanted = unpacked / TARBALL_NOTE, state(str(tarball)) if own is not None else None
    if not unpacked.is_dir() or (note.read_text(encoding="utf-8") if note.exists() else None) != wanted:
        if own is None and not tarball.exists():
            say(f"fetching {tarball.name}, {PARTS[name].size / 1e9:.1f} GB")
            urls = [f"{mirror}/{tarball.name}" for mirror in mirrors]
            download(urls, tarball, PARTS[name].md5, say=say)
        say(f"unpacking {tarball}")
        _unpack(tarball, name, unpacked, note=wanted)
    return unpacked


def find_lexicon(downloads: Path) -> Path:
    """LibriSpeech's pronouncing dictionary, fetched from OpenSLR into `downloads` if it is not there.

    Raises:
        DataError: it is cut off.
        FetchError: it cannot be fetched.
    """
    urls = [f"{mirror.removesuffix('12')}11/{LEXICON}" for mirror in MIRRORS]
    path = download(urls, Path(downloads) / LEXICON, None)
    if (count := len(read_lexicon(path))) < LEXICON_WORDS:
        raise DataError(f"{path}: {count} words, but the published one has 200,000: delete it and run again")
    return path


def _unpack(tarball: Path, name: str, target: Path, *, note: str | None) -> None:
    """Unpack ``LibriSpeech/<name>`` of a tarball; `target` appears when it is complete, the note in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    check_space(target.parent, tarball.stat().st_size)
    try:
        with new_folder(target) as scratch, tarfile.open(tarball, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
                    raise DataError(f"{tarball}: {member.name!r} is no plain file below its folder; not used")
                if path.parts[:2] == ("LibriSpeech", name) and (file := tar.extractfile(member)):
                    to = scratch.joinpath(*path.parts[2:])
                    to.parent.mkdir(parents=True, exist_ok=True)
                    with file, open(to, "wb") as out:
                        shutil.copyfileobj(file, out, 1 << 20)
            if not any(scratch.iterdir()):
                raise DataError(f"{tarball}: no LibriSpeech/{name} in it")
            if note is not None:
                (scratch / TARBALL_NOTE).write_text(note, encoding="utf-8")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{tarball}: broken or cut off ({error}); delete it and fetch it again") from error


def read_part(folder: Path) -> dict[str, tuple[Path, str, str]]:
    """Utterances of a part: ``{utterance id: (flac file, reader, transcript)}``.

    Raises:
        DataError: a transcript without recording or the reverse, an id that is not that of its folders, an
            empty file, or no utterance at all.
    """
    found = {}
    for chapter in sorted(folder.glob("[0-9]*/[0-9]*")):
        prefix = f"{chapter.parent.name}-{chapter.name}"
        transcripts = chapter / f"{prefix}.trans.txt"
        recorded = {path.stem: path for path in chapter.glob("*.flac")}
        if not transcripts.exists():
            raise DataError(
                f"{transcripts}: no such file, but {len(recorded)} flac files beside it; unpack again"
            )
        texts = read_scp(transcripts)
        if untold := sorted(recorded.keys() - texts.keys()):
            raise DataError(
                f"{transcripts}: no transcript of {untold[0]}.flac in the same folder; unpack again"
            )
        for line, (utt, text) in enumerate(texts.items(), 1):
            if not utt.startswith(f"{prefix}-"):
                raise DataError(f"{transcripts}:{line}: {utt!r} does not belong into {prefix}; unpack again")
            if utt not in recorded or not recorded[utt].stat().st_size:
                state = "is empty" if utt in recorded else "is missing"
                raise DataError(f"{transcripts}:{line}: {utt}.flac {state}; unpack the part again")
            found[utt] = (recorded[utt], chapter.parent.name, text)
    if not found:
        raise DataError(f"{folder}: no reader/chapter/*.trans.txt in it; is it a part of LibriSpeech?")
    return found


def check_recording(path: Path) -> None:
    """Check a recording's header; stage 3 checks its samples.

    Raises:
        DataError: it is no audio, or has another rate or more channels than LibriSpeech.
    """
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{path}: cannot be read as audio ({error.error_string}); unpack the part again"
        ) from None
    if (info.samplerate, info.channels) != (SAMPLE_RATE, 1):
        raise DataError(
            f"{path}: {info.channels} channel(s) at {info.samplerate} Hz, where LibriSpeech has one at "
            f"{SAMPLE_RATE}: unpack the part again, or name a folder with the published files in db.sh"
        )


def write_set(folders: Sequence[Path], target: Path, *, every: int = 1) -> int:
    """Write a Kaldi data directory of clean speech from parts; returns the number of utterances.

    wav.scp and spk1.scp name the corpus's own files: nothing is copied. The speaker is the reader.

    Args:
        every: keep every N-th utterance, in the order of their ids, so that all readers remain; 1: all.

    Raises:
        DataError: as :func:`read_part` and :func:`check_recording`.
    """
    found = {}
    for folder in folders:
        found |= read_part(folder.resolve())
    kept = {utt: found[utt] for utt in sorted(found)[::every]}
    for path, _, _ in kept.values():
        check_recording(path)
    wavs = {utt: str(path) for utt, (path, _, _) in kept.items()}
    tables = {
        "wav.scp": wavs,
        "spk1.scp": wavs,
        "utt2spk": {utt: reader for utt, (_, reader, _) in kept.items()},
        "text": {utt: text for utt, (_, _, text) in kept.items()},
        "utt2noise": dict.fromkeys(kept, "clean"),
        "utt2snr": dict.fromkeys(kept, "inf"),
    }
    write_data_dir(target, tables.items())
    return len(kept)
