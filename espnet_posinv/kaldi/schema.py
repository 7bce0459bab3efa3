"""What the files of a data directory are keyed by: the names that tell, and the keys of all others."""

import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Literal

from espnet_posinv.kaldi.scp import DataError, entries, fields

Keyed = Literal["utt", "spk", "reco"]
Ids = Mapping[Keyed, Set[str]]

# Audio of a recording (of an utterance if there are no segments): ESPnet's enhancement recipes add the
# reference signals to Kaldi's wav.scp.
_AUDIO = re.compile(r"(wav|spk\d+|noise\d+|dereverb\d+)\.scp")
_BY_UTTERANCE = re.compile(r"(feats|vad)\.scp|utt2\w+|text(_\w+)?|segments")
_BY_SPEAKER = re.compile(r"spk2utt|spk2gender|cmvn\.scp")
_BY_RECORDING = re.compile(r"reco2dur|reco2file_and_channel")

#: Files about the length of the audio that espnet_posinv.kaldi.lengths writes.
LENGTHS = ("utt2num_samples", "utt2dur", "reco2dur")

#: Files that follow from the audio: they can be made again, so they never decide what is kept.
DERIVED = frozenset({"utt2dur", "utt2num_samples", "utt2num_frames", "utt2max_frames", "utt2fs", "reco2dur"})


def is_audio(name: str) -> bool:
    """Whether the values of a file are audio: wav.scp, spk1.scp, noise1.scp, dereverb1.scp, ..."""
    return _AUDIO.fullmatch(name) is not None


def keyed_by(name: str, *, segmented: bool) -> Keyed | None:
    """By what a file is keyed, or None if its name does not tell.

    Args:
        name: file name without folder.
        segmented: the directory has a ``segments`` file, so audio is keyed by recording.
    """
    if is_audio(name):
        return "reco" if segmented else "utt"
    if _BY_SPEAKER.fullmatch(name):
        return "spk"
    if _BY_RECORDING.fullmatch(name):
        return "reco"
    return "utt" if _BY_UTTERANCE.fullmatch(name) else None


def empty_values(name: str) -> bool:
    """Whether entries may consist of their key alone: transcripts may be empty, other lists be of ids."""
    return name.startswith("text") or keyed_by(name, segmented=False) is None


def ids_of(path: Path) -> Ids:
    """The utterances, speakers and recordings of a data directory, as its files have them, good or bad."""
    utts, spks, recos = set(), set(), set()
    for _, utt, spk in entries(path / "utt2spk", errors="surrogateescape"):
        utts.add(utt)
        spks.add(spk)
    if (path / "segments").exists():
        for _, _, value in entries(path / "segments", errors="surrogateescape"):
            recos.update(fields(value)[:1])
    return {"utt": utts, "reco": recos, "spk": spks}


def keyed_by_keys(path: Path, ids: Ids) -> Keyed | None:
    """By what a list is keyed whose name does not tell: its keys say so.

    Most keys are ids of that kind, or most ids are keys. None for any other file: a list of something else
    (noises, rooms, speakers of other data), several lines of one key, JSON, no text.
    """
    keys = set()
    try:
        for count, (_, key, _) in enumerate(entries(path), 1):
            keys.add(key)
            if len(keys) < count or not key:
                return None
    except DataError:
        return None
    for kind, known in ids.items():
        if 2 * len(keys & known) > min(len(keys), len(known)):
            return kind
    return None


def is_text(path: Path) -> bool:
    """Whether a file is text: archives of audio or features stay where the lists say that they are."""
    with open(path, "rb") as file:
        return b"\0" not in file.read(8192)
