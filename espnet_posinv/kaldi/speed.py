"""Speed-perturbed copies of data directories, by sox pipes that the formatting runs."""

import re
import shlex
from collections.abc import Iterator

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.rename import affix, renamed
from espnet_posinv.kaldi.scp import DataError, fields

_OFFSET = re.compile(r":\d+$")
_SECONDS = ("utt2dur", "reco2dur")
_COUNTS = ("utt2num_samples", "utt2num_frames", "utt2max_frames")


def speed_perturbed(data: DataDir, factor: float) -> Iterator[tuple[str, dict[str, str]]]:
    """Each file of a directory whose audio is played ``factor`` times as fast; ids get ``sp<factor>-``.

    All signals of an utterance change alike: wav.scp and the references spk1.scp, noise1.scp, dereverb1.scp,
    so that they stay aligned. Durations and segments are divided by the factor; counts of samples and frames,
    which would be inexact after resampling, are left out; utt2uniq names the original utterance.

    Raises:
        DataError: a factor that is not above 0 or has more than six digits, or an entry that cannot be an
            input of a pipe (an archive offset).
    """
    if not 0 < factor < float("inf") or float(f"{factor:g}") != factor:
        raise DataError(f"speed factor {factor!r}: give a number above 0 of up to six digits, like 0.95")
    for name in (*_SECONDS, "segments"):  # report malformed files before anything is written
        if name in data.names:
            _ = data.segments if name == "segments" else data.numbers(name)
    name_of = affix(f"sp{factor:g}-")
    has_uniq = "utt2uniq" in data.names
    for name, table in renamed(data, utt=name_of, spk=name_of, reco=name_of):
        if schema.is_audio(name):
            table = {k: sped_up(v, factor, f"{data.path}/{name}: {k}") for k, v in table.items()}
        elif name in _SECONDS:
            table = {k: f"{float(v) / factor:.6g}" for k, v in table.items()}
        elif name == "segments":
            table = {k: _stretch(v, factor) for k, v in table.items()}
        elif name in _COUNTS or name in ("feats.scp", "vad.scp", "cmvn.scp"):
            continue  # belongs to the original audio
        yield name, table
        if name == "utt2spk" and not has_uniq:
            yield "utt2uniq", {name_of(utt): utt for utt in data.utts}


def sped_up(entry: str, factor: float, where: str) -> str:
    """A wav.scp entry as a pipe through sox's ``speed``; ``where`` is named in the error."""
    if entry.endswith("|"):
        return f"{entry} sox -t wav - -t wav - speed {factor:g} |"
    if _OFFSET.search(entry):
        raise DataError(f"{where}: {entry!r} is in an archive; run scripts/audio/format_wav_scp.sh first")
    return f"sox {shlex.quote(entry)} -t wav - speed {factor:g} |"


def _stretch(segment: str, factor: float) -> str:
    reco, start, end = fields(segment)
    scaled = end if float(end) == -1 else f"{float(end) / factor:.4f}"
    return f"{reco} {float(start) / factor:.4f} {scaled}"
