"""Choosing utterances of a data directory."""

import random
from collections.abc import Iterable, Iterator

from espnet_posinv.kaldi.datadir import DataDir, spk2utt
from espnet_posinv.kaldi.scp import DataError, entries, fields


def spread(data: DataDir, count: int) -> list[str]:
    """``count`` utterances spread evenly over the directory."""
    utts = _enough(data, count)
    return [utts[k] for k in _positions(0, len(utts), count)]


def _positions(start: int, end: int, count: int) -> Iterator[int]:
    """`count` of the positions from `start` to `end`, as Kaldi chooses them: half of them from each half."""
    if end - start == 1:
        yield from range(start, start + count)
        return
    middle = (start + end) // 2
    if count // 2:
        yield from _positions(start, middle, count // 2)
    if count - count // 2:
        yield from _positions(middle, end, count - count // 2)


def first(data: DataDir, count: int) -> list[str]:
    """The first ``count`` utterances."""
    return _enough(data, count)[:count]


def last(data: DataDir, count: int) -> list[str]:
    """The last ``count`` utterances."""
    utts = _enough(data, count)
    return utts[len(utts) - count :]


def shortest(data: DataDir, count: int) -> list[str]:
    """The ``count`` shortest utterances, by utt2dur, utt2num_samples, utt2num_frames or segments.

    Raises:
        DataError: none of these files has the lengths of all utterances.
    """
    utts = _enough(data, count)
    length = _lengths(data)
    return sorted(utts, key=lambda utt: (length[utt], utt))[:count]


def per_speaker(data: DataDir, count: int) -> list[str]:
    """Up to ``count`` utterances of each speaker, spread over those the speaker has."""
    utts = _by_speaker(data)
    steps = {spk: max(1, len(u) // count) for spk, u in utts.items()}
    return [utt for spk, u in utts.items() for utt in u[: count * steps[spk] : steps[spk]]]


def speakers(data: DataDir, count: int, *, seed: int = 0) -> list[str]:
    """All utterances of speakers drawn at random until there are at least ``count`` utterances."""
    _enough(data, count)
    utts = _by_speaker(data)
    order = sorted(utts)
    random.Random(seed).shuffle(order)
    chosen: list[str] = []
    for spk in order:
        if len(chosen) >= count:
            break
        chosen += utts[spk]
    return chosen


def of_utterances(data: DataDir, wanted: Iterable[str]) -> list[str]:
    """The utterances of a list that the directory has, in its order."""
    wanted = set(wanted)
    return [utt for utt in data.utts if utt in wanted]


def of_speakers(data: DataDir, wanted: Iterable[str]) -> list[str]:
    """The utterances of the speakers of a list."""
    wanted = set(wanted)
    return [utt for utt, spk in data.utt2spk.items() if spk in wanted]


def read_ids(path: str) -> list[str]:
    """The first column of a file: a list of ids, or any file keyed by them."""
    return [key for _, key, _ in entries(path) if key]


def _by_speaker(data: DataDir) -> dict[str, list[str]]:
    return {spk: fields(utts) for spk, utts in spk2utt(data.utt2spk).items()}


def _enough(data: DataDir, count: int) -> list[str]:
    utts = list(data.utts)
    if not 1 <= count <= len(utts):
        raise DataError(f"{data.path}: cannot choose {count} of {len(utts)} utterances")
    return utts


def _lengths(data: DataDir) -> dict[str, float]:
    """Length of each utterance, in the unit of the file that has it."""
    for name in ("utt2dur", "utt2num_samples", "utt2num_frames"):
        if name in data.names:
            lengths = data.numbers(name)
            if all(utt in lengths for utt in data.utts):
                return lengths
    if data.segmented and all(s.end >= 0 for s in data.segments.values()):
        return {utt: s.end - s.start for utt, s in data.segments.items()}
    raise DataError(
        f"{data.path}: no file has the lengths of all utterances; "
        f"run utils/data/get_utt2dur.sh {data.path} first"
    )
