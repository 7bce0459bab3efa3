"""Splitting lists and data directories into parts."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from espnet_posinv.kaldi.datadir import DataDir, write_data_dirs
from espnet_posinv.kaldi.scp import DataError

Utt = TypeVar("Utt")


def even_bounds(count: int, parts: int) -> list[int]:
    """The parts + 1 bounds of contiguous parts whose sizes differ by at most one, larger ones first.

    Raises:
        DataError: fewer entries than parts.
    """
    if count == 0:
        raise DataError(f"cannot split into {parts} parts what has no entries")
    if not 1 <= parts <= count:
        raise DataError(f"cannot split {count} entries into {parts} parts; use between 1 and {count} parts")
    size, larger = divmod(count, parts)
    return [k * size + min(k, larger) for k in range(parts + 1)]


def group_bounds(sizes: Sequence[int], parts: int) -> list[int]:
    """The parts + 1 bounds of contiguous parts of a list of groups (speakers) with about equal total sizes.

    The k-th bound is the boundary between groups nearest to k / parts of the total, moved as little as needed
    to leave no part empty.

    Raises:
        DataError: fewer groups than parts.
    """
    groups = len(sizes)
    if not 1 <= parts <= groups:
        raise DataError(
            f"cannot split {groups} speakers into {parts} parts without cutting through a speaker; "
            f"use between 1 and {groups} parts, or split per utterance"
        )
    ends = list(accumulate(sizes, initial=0))
    cuts = [0]
    for k in range(1, parts):
        ideal = ends[-1] * k / parts
        cut = bisect_left(ends, ideal)
        if cut > 0 and ideal - ends[cut - 1] <= ends[cut] - ideal:
            cut -= 1
        cuts.append(min(max(cut, cuts[-1] + 1), groups - (parts - k)))
    return [*cuts, groups]


def parts_of(utt2spk: Mapping[Utt, str], parts: int, *, per_utt: bool = False) -> dict[Utt, int]:
    """The part (0-based) each utterance goes to: all utterances of a speaker to one, unless `per_utt`."""
    if per_utt:
        order, bounds = list(utt2spk), even_bounds(len(utt2spk), parts)
    else:
        groups: dict[str, list[Utt]] = {}
        for utt, spk in utt2spk.items():
            groups.setdefault(spk, []).append(utt)
        order = [utt for group in groups.values() for utt in group]
        ends = list(accumulate(map(len, groups.values()), initial=0))
        bounds = [ends[b] for b in group_bounds([len(g) for g in groups.values()], parts)]
    return {utt: k for k in range(parts) for utt in order[bounds[k] : bounds[k + 1]]}


def distribute(data: DataDir, part: Mapping[str, int], parts: int) -> Iterator[tuple[str, list[dict]]]:
    """Each file of a data directory, divided by the parts of the utterances.

    Entries of a speaker or recording go to every part with an utterance of it. Utterances not in ``part`` are
    left out, so one part makes a subset. spk2utt is made by the writer.

    Yields:
        (file name, one table per part).
    """
    goes: dict[str, dict[str, tuple[int, ...]]] = {"spk": {}, "reco": {}}
    single = [(k,) for k in range(parts)]  # shared: there may be a speaker per utterance
    for utt, k in part.items():
        owners = [("spk", data.utt2spk[utt])] + ([("reco", data.reco_of(utt))] if data.segmented else [])
        for keyed, owner in owners:
            before = goes[keyed].setdefault(owner, single[k])
            if k not in before:
                goes[keyed][owner] = (*before, k)
    for name in data.names:
        if name == "spk2utt":
            continue
        table = data.read(name)
        keyed = data.keyed_by(name, table)
        tables: list[dict[str, str]] = [{} for _ in range(parts)]
        if keyed == "utt" or (keyed == "reco" and not data.segmented):
            for key, value in table.items():
                if (k := part.get(key)) is not None:
                    tables[k][key] = value
        else:
            for key, value in table.items():
                for k in goes[keyed].get(key, ()):
                    tables[k][key] = value
        yield name, tables


def split_data_dir(data: DataDir, parts: int, *, per_utt: bool = False) -> list[Path]:
    """Write ``data/split<parts>/1 ... <parts>`` (``split<parts>utt`` if per utterance).

    Does nothing if all parts exist and are newer than the data directory's files.

    Returns:
        The directories.
    """
    top = data.path / f"split{parts}{'utt' if per_utt else ''}"
    targets = [top / str(k + 1) for k in range(parts)]
    if _up_to_date(data, targets):
        return targets
    part = parts_of(data.utt2spk, parts, per_utt=per_utt)
    write_data_dirs(targets, distribute(data, part, parts), verbatim=data.verbatim)
    return targets


def _up_to_date(data: DataDir, targets: Sequence[Path]) -> bool:
    sources = [*(data.path / name for name in data.names), *data.verbatim]
    newest = max(path.stat().st_mtime_ns for path in sources)
    written = [target / name for target in targets for name in {*(p.name for p in sources), "spk2utt"}]
    return all(p.exists() and p.stat().st_mtime_ns >= newest for p in written)
