"""A check of the audio of a data directory, which opens every file."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.audio import Info, bounds, info_or_error
from espnet_posinv.kaldi.check import Problem
from espnet_posinv.kaldi.datadir import Segment, read_segments
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, as_number, entries

_REPLACE = "get the file again, or delete the line and run utils/fix_data_dir.sh"
_RESAMPLE = "run scripts/audio/format_wav_scp.sh with --fs"


def check_audio(
    path: str | Path, *, rate: int | None = None, channels: int | None = None, jobs: int | None = None
) -> Iterator[Problem]:
    """Open every entry of wav.scp, spk1.scp, noise1.scp, ... and compare them.

    Args:
        rate: Hz that the audio must have; default: the most frequent one in wav.scp.
        channels: number that the audio must have; default: the most frequent number in each file.
        jobs: processes.

    Yields:
        Problem: audio that cannot be opened, is truncated, empty or not finite; another rate or number of
            channels; references of another length than wav.scp; lengths that differ from utt2num_samples,
            utt2dur or reco2dur; segments that end after their recording.
    """
    path = Path(path)
    files = {p.name for p in path.iterdir() if p.is_file()}
    names = sorted(filter(schema.is_audio, files), key=lambda name: (name != "wav.scp", name))
    mixture: dict[str, Info] = {}
    for name in names:
        lines = list(entries(path / name))
        found: dict[str, Info] = {}
        results = parallel_map(info_or_error, [entry for _, _, entry in lines], label=name, jobs=jobs)
        for (number, key, _), result in zip(lines, results, strict=True):
            if isinstance(result, str):
                yield Problem(str(path / name), number, f"{key!r}: {result}", _REPLACE)
            else:
                found[key] = result
        if name == "wav.scp":
            mixture = found
            rate = rate or _most_frequent(info.rate for info in found.values())
        wanted = channels or _most_frequent(info.channels for info in found.values())
        for number, key, _ in lines:
            if key in found:
                for what, todo in _differences(found[key], rate, wanted, mixture.get(key)):
                    yield Problem(str(path / name), number, f"{key!r} {what}", todo)
    yield from _lengths(path, files, mixture)


def _most_frequent(values) -> int | None:
    return next((value for value, _ in Counter(values).most_common(1)), None)


def _differences(
    info: Info, rate: int | None, channels: int | None, mixture: Info | None
) -> Iterator[tuple[str, str]]:
    if rate and info.rate != rate:
        yield f"has {info.rate} Hz, not {rate}", _RESAMPLE
    if channels and info.channels != channels:
        yield (
            f"has {info.channels} channels, not {channels}",
            "choose with format_wav_scp --ref-channels",
        )
    if mixture and info.rate == mixture.rate and info.samples != mixture.samples:
        what = f"has {info.samples} samples, but wav.scp has {mixture.samples}"
        yield what, "make the reference again: it must be aligned with the mixture"


def _lengths(path: Path, files: set[str], audio: dict[str, Info]) -> Iterator[Problem]:
    """Entries of utt2dur, reco2dur and utt2num_samples that do not agree with the audio."""
    parts: dict[str, Segment] = {}
    seconds = {reco: info.samples / info.rate for reco, info in audio.items()}
    if "segments" in files:
        try:
            parts = read_segments(path / "segments")
        except DataError:
            return  # reported by the check of the text files
    for number, (utt, (reco, start, end)) in enumerate(parts.items(), 1):
        if reco in audio:
            try:
                bounds(audio[reco].samples, audio[reco].rate, start, end, reco)
            except DataError as error:
                yield Problem(str(path / "segments"), number, f"{utt!r}: {error}", "correct the times")
    seconds |= {
        utt: (seconds[reco] if end == -1 else end) - start
        for utt, (reco, start, end) in parts.items()
        if reco in seconds
    }
    again = "delete the file and make it again (python -m espnet_posinv data audio-lengths)"
    for name in sorted(files & {"utt2dur", "reco2dur"}):
        for number, key, value in entries(path / name):
            actual, noted = seconds.get(key), as_number(value)
            if actual is not None and noted and abs(noted - actual) > 0.01 + 0.001 * actual:
                what = f"{key!r} says {value} s, the audio has {actual:.3f} s"
                yield Problem(str(path / name), number, what, again)
    if "utt2num_samples" in files and not parts:
        for number, key, value in entries(path / "utt2num_samples"):
            if key in audio and value != str(audio[key].samples):
                what = f"{key!r} says {value} samples, the audio has {audio[key].samples}"
                yield Problem(str(path / "utt2num_samples"), number, what, again)
