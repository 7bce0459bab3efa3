"""Audio files of one rate and format from any wav.scp, for training."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet_posinv.kaldi import journal
from espnet_posinv.kaldi.datadir import Segment, read_segments
from espnet_posinv.kaldi.entry import state
from espnet_posinv.kaldi.format_task import FORMATS, Part, Task, run_task
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, listed, read_scp


class Formatted(NamedTuple):
    """Outputs by utterance, samples limited to full scale, and files made in this call."""

    path: dict[str, str]
    samples: dict[str, int]
    clipped: int
    made: int


def format_wav_scp(
    scp: str | Path,
    folder: str | Path,
    *,
    segments: str | Path | None = None,
    rate: int | None = None,
    audio_format: str = "wav",
    channels: Mapping[str, Sequence[int]] | Sequence[int] | None = None,
    keys: Sequence[str] | None = None,
    jobs: int | None = None,
) -> Formatted:
    """Write each utterance as a 16-bit file; a file of the wanted format is used where it is.

    Outputs are renamed when complete and noted in a journal, so another call makes only files that are
    missing or whose source or options changed. (A pipe whose inputs are unknown is run each time; see
    :func:`~espnet_posinv.kaldi.entry.state`.)

    Args:
        scp: wav.scp with paths, pipes or archive offsets.
        folder: for the audio files.
        segments: cut recordings into these utterances.
        rate: Hz of the output; default: unchanged.
        audio_format: "wav" or "flac".
        channels: channels to keep (from 0), for all or by utterance; default: all.
        keys: only these utterances.

    Raises:
        DataError: the folder belongs to a list of another name, or entries cannot be used (up to 20 are
            listed; the others are made).
    """
    if audio_format not in FORMATS:
        raise DataError(f"audio format {audio_format!r} is not one of {', '.join(FORMATS)}")
    folder = Path(folder)
    journal.bind(folder, Path(scp))
    before = journal.read(folder)
    done: dict[str, journal.Entry] = {}
    todo, stale = [], []
    for task in _tasks(scp, folder, segments, rate, audio_format, channels, keys):
        missing = []
        for part in task.parts:
            entry = before.get(part.utt)
            if task.opaque:
                missing.append(part._replace(noted=entry if entry and entry.is_there() else None))
            elif entry and entry.mark == part.mark and entry.is_there():
                done[part.utt] = entry
            else:
                missing.append(part)
                stale += [part.utt] if entry else []
        if missing:
            todo.append(task._replace(parts=tuple(missing)))
    errors, clipped, kept = [], 0, len(done)
    with journal.append(folder) as log:
        # These files are overwritten below: their old notes must not count after a kill.
        log.writelines(journal.line(utt, journal.NOTHING) for utt in stale)
        log.flush()
        for results in parallel_map(run_task, todo, label=f"format {Path(scp).name}", jobs=jobs):
            for result in results:
                utt = result.part.utt
                if result.error:
                    errors.append(f"{scp}: {utt!r}: {result.error}")
                    continue
                done[utt] = journal.Entry(result.part.mark, result.path, result.samples)
                clipped += result.clipped
                kept += done[utt] == result.part.noted
                log.write(journal.line(utt, done[utt]))
            log.flush()
    if errors:
        count = f"{len(errors)} of {len(done) + len(errors)} utterances failed"
        raise listed(errors, f"{count}; correct them and run again")
    path = {utt: entry.path for utt, entry in done.items()}
    samples = {utt: entry.samples for utt, entry in done.items()}
    return Formatted(path, samples, clipped, len(done) - kept)


def _tasks(scp, folder, segments, rate, audio_format, channels, keys) -> Iterator[Task]:
    """One task for each recording."""
    table = read_scp(scp)
    wanted = None if keys is None else set(keys)
    cuts = read_segments(segments) if segments else {utt: Segment(utt, 0.0, -1.0) for utt in table}
    of_reco: dict[str, list[str]] = {}
    for utt, cut in cuts.items():
        if cut.reco not in table:
            raise DataError(
                f"{segments}: recording {cut.reco!r} of {utt!r} is not in {scp}; add or delete it"
            )
        if wanted is None or utt in wanted:
            of_reco.setdefault(cut.reco, []).append(utt)
    for reco, utts in of_reco.items():
        entry = table[reco]
        seen = state(entry)
        parts = []
        for utt in utts:
            keep = channels.get(utt) if isinstance(channels, Mapping) else channels
            if isinstance(channels, Mapping) and keep is None:
                raise DataError(f"no channels are given for {utt!r}; add a line for it")
            cut, keep = cuts[utt], None if keep is None else tuple(keep)
            wish = repr((entry, seen, cut.start, cut.end, keep, rate, audio_format))
            parts.append(Part(utt, cut.start, cut.end, keep, hashlib.sha1(wish.encode()).hexdigest()))
        yield Task(entry, tuple(parts), str(folder), rate, audio_format, opaque=seen is None)
