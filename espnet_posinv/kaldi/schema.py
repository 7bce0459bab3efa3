"""What the file names of a data directory mean: by what each file is keyed."""

import re
from typing import Literal

Keyed = Literal["utt", "spk", "reco"]

# Audio of a recording (of an utterance if there are no segments): ESPnet's enhancement recipes add the
# reference signals to Kaldi's wav.scp.
_AUDIO = re.compile(r"(wav|spk\d+|noise\d+|dereverb\d+)\.scp")
_BY_UTTERANCE = re.compile(r".*\.scp|utt2\w+|text.*|segments")
_BY_SPEAKER = re.compile(r"spk2\w+|cmvn\.scp")
_BY_RECORDING = re.compile(r"reco2\w+")

#: Files about the directory as a whole: they are copied as they are.
VERBATIM = frozenset({"frame_shift", "feats_type", "audio_format", "glm"})

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
    """Whether entries may consist of their key alone: transcripts may be empty."""
    return name.startswith("text")
