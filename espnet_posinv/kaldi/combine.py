"""Several data directories as one."""

import filecmp
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.scp import listed


def combined(sources: Sequence[DataDir], extra: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, str]]]:
    """Each list that all sources have, with the entries of all of them.

    A file that some source lacks would cover only part of the utterances: it is left out, with a message on
    stderr. But utt2uniq is completed with the utterances' own ids, and segments with whole recordings,
    which is the meaning of their absence. `extra` names other lists to merge, with keys of any kind.

    Raises:
        DataError: an id has different entries in two sources (all such ids are listed, up to 20).
    """
    names = {name for data in sources for name in data.names}
    names |= {name for name in extra if any((data.path / name).exists() for data in sources)}
    for name in sorted(names - {"spk2utt"}):
        lacking = [data for data in sources if not (data.path / name).exists()]
        if lacking and name not in ("utt2uniq", "segments"):
            where = ", ".join(str(data.path) for data in lacking)
            print(f"combine_data: {name} is left out, since {where} has none", file=sys.stderr)
            continue
        yield name, _merge(name, sources)


def common(sources: Sequence[DataDir], extra: Sequence[str] = ()) -> list[Path]:
    """Files without ids of the directories as keys (noises.scp, spk2enroll.json), which are copied unchanged.

    If two sources have different versions, the file is left out, with a message on stderr.
    """
    found: dict[str, list[Path]] = {}
    for path in (path for data in sources for path in data.verbatim):
        found.setdefault(path.name, []).append(path)
    keyed = {name for data in sources for name in data.names}
    same = []
    for name, (first, *others) in found.items():
        if name in extra or name in keyed:
            continue
        if differs := [str(p) for p in others if not filecmp.cmp(first, p, shallow=False)]:
            print(
                f"combine_data: {name} is left out: {differs[0]} is not {first}; --extra-files {name} merges "
                "their lines",
                file=sys.stderr,
            )
            continue
        same.append(first)
    return same


def _merge(name: str, sources: Sequence[DataDir]) -> dict[str, str]:
    merged: dict[str, str] = {}
    conflicts = []
    for data in sources:
        if (data.path / name).exists():
            table = data.read(name)
        elif name == "utt2uniq":
            table = {utt: utt for utt in data.utts}
        else:
            table = {utt: f"{utt} 0 -1" for utt in data.utts}
        for key, value in table.items():
            if merged.setdefault(key, value) != value:
                conflicts.append(
                    f"{data.path}/{name}: {key!r} is {value!r}, in an earlier source {merged[key]!r}"
                )
    if conflicts:
        raise listed(conflicts, "give the sources distinct ids first (utils/copy_data_dir.sh --utt-prefix)")
    return merged
