"""Several data directories as one."""

import sys
from collections.abc import Iterator, Sequence

from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.scp import DataError


def combined(sources: Sequence[DataDir]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each file that all sources have, with the entries of all of them.

    A file that some source lacks would cover only part of the utterances: it is left out, and said
    so on stderr. But utt2uniq is completed with the utterances' own ids, and segments with whole
    recordings, since that is what their absence means.

    Raises:
        DataError: an id has different entries in two sources (all such ids are listed, up to 20).
    """
    names = sorted({name for data in sources for name in data.names} - {"spk2utt"})
    for name in names:
        lacking = [data for data in sources if name not in data.names]
        if lacking and name not in ("utt2uniq", "segments"):
            where = ", ".join(str(data.path) for data in lacking)
            print(f"combine_data: {name} is left out, since {where} has none", file=sys.stderr)
            continue
        yield name, _merge(name, sources)


def _merge(name: str, sources: Sequence[DataDir]) -> dict[str, str]:
    merged: dict[str, str] = {}
    conflicts = []
    for data in sources:
        if name in data.names:
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
        more = f"\n... and {len(conflicts) - 20} more" if len(conflicts) > 20 else ""
        advice = "give the sources distinct ids first (utils/copy_data_dir.sh --utt-prefix)"
        raise DataError("\n".join(conflicts[:20]) + f"{more}\n{advice}")
    return merged
