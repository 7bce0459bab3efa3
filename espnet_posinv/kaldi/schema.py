"""The kind of keys of a data directory's files, by their names or, for unknown names, by their keys."""

import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Literal

from espnet_posinv.kaldi.scp import DataError, entries, fields

Keyed = Literal["utt", "spk", "reco"]
Ids = Mapping[Keyed, Set[str]]

# Audio by recording (by utterance without segments): Kaldi's wav.scp and the reference signals of ESPnet's
# enhancement recipes.
_AUDIO = re.compile(r"(wav|spk\d+|noise\d+|dereverb\d+)\.scp")
_BY_UTTERANCE = re.compile(r"(feats|vad)\.scp|utt2\w+|text(_\w+)?|segments")
_BY_SPEAKER = re.compile(r"spk2utt|spk2gender|cmvn\.scp")
_BY_RECORDING = re.compile(r"reco2dur|reco2file_and_channel")

#: Files about the length of the audio that espnet_posinv.kaldi.lengths writes.
LENGTHS = ("utt2num_samples", "utt2dur", "reco2dur")

#: Files derived from the audio: they can be made again, so no utterance is dropped for them.
DERIVED = frozenset({"utt2dur", "utt2num_samples", "utt2num_frames", "utt2max_frames", "utt2fs", "reco2dur"})


def is_audio(name: str) -> bool:
    """Whether the values of a file are audio: wav.scp, spk1.scp, noise1.scp, dereverb1.scp, ..."""
    return _AUDIO.fullmatch(name) is not None


def keyed_by(name: str, *, segmented: bool) -> Keyed | None:
    """The kind of keys of a file, or None for an unknown name.

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
    """Whether entries may have no value: transcripts may be empty, and other lists may hold ids only."""
    return name.startswith("text") or keyed_by(name, segmented=False) is None


def ids_of(path: Path) -> Ids:
    """The utterances, speakers and recordings in a data directory's files, unchecked."""
    utts, spks, recos = set(), set(), set()
    for _, utt, spk in entries(path / "utt2spk", errors="surrogateescape"):
        utts.add(utt)
        spks.add(spk)
    if (path / "segments").exists():
        for _, _, value in entries(path / "segments", errors="surrogateescape"):
            recos.update(fields(value)[:1])
    return {"utt": utts, "reco": recos, "spk": spks}


def keyed_by_keys(path: Path, ids: Ids) -> Keyed | None:
    """The kind of keys of a list with an unknown name, from its keys.

    A kind fits if most keys are ids of that kind, or most such ids are keys. None for other files: lists with
    other keys (noises, rooms, speakers of other data), with repeated keys, JSON, binary files.
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
