"""Repair of a data directory, if only one repair is possible."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.datadir import DataDir, spk2utt, write_data_dir
from espnet_posinv.kaldi.scp import DataError, entries
from espnet_posinv.kaldi.scp import fields as words

Say = Callable[[str], None]


def fix_data_dir(path: str | Path, say: Say = print, *, extra_utt_files: Iterable[str] = ()) -> bool:
    """Sort the files, drop incomplete utterances, write a new spk2utt; returns whether anything was changed.

    An utterance is kept if all required files have it: the known lists by utterance (with segments: its
    recording is in every file of audio) and `extra_utt_files`. Other lists by utterance, speaker or recording
    are reduced accordingly; lists with other keys do not change. Files derived from the audio (utt2dur, ...)
    are not required; an incomplete one is removed, to be made again. `say` receives a line for each change.
    The old files are kept in ``.backup/<date>-<time>``.

    Raises:
        DataError: problems without a unique repair (all are listed): a key with two
            different values, a line of utt2spk or segments with the wrong number of fields, a file
            that is not UTF-8. Nothing is changed then.
    """
    data = DataDir(path)
    extra = [name for name in extra_utt_files if (data.path / name).exists()]
    if other := [name for name in extra if name not in data.names]:
        say(f"{data.path}: {', '.join(other)}: not keyed by utterance: left unchanged")
    repair = _Repair(data, say, extra)
    tables = ((name, repair.kept(name)) for name in data.names if name != "spk2utt")
    changed = {name for name, table in tables if _text(table) != (data.path / name).read_bytes()}
    speakers = spk2utt({utt: repair.speaker[utt] for utt in sorted(repair.utts)})
    inverse = data.path / "spk2utt"
    if not inverse.exists() or inverse.read_bytes() != _text(speakers):
        changed.add("spk2utt")
    if not changed:
        say(f"{data.path}: nothing to fix, {len(repair.utts)} utterances")
        return False
    backup = _back_up(data)
    repair.say = lambda line: None  # everything was reported when the changes were found
    stay = [name for name in data.names if name not in repair.remove | {"spk2utt"}]
    write_data_dir(data.path, ((name, repair.kept(name)) for name in stay))
    say(
        f"{data.path}: {len(repair.utts)} of {len(repair.speaker)} utterances kept, changed: "
        f"{', '.join(sorted(changed))}; the files as they were are in {backup}"
    )
    return True


class _Repair:
    """Which utterances and recordings are kept; files are read twice, never held in memory."""

    def __init__(self, data: DataDir, say: Say, extra: Iterable[str]):
        self.data, self.say = data, say
        conflicts: list[str] = []
        self.reason: dict[str, str] = {}
        self.remove: set[str] = set()
        self.speaker = self._entries("utt2spk", conflicts)
        self.utts = set(self.speaker)
        self.reco = {}
        if data.segmented:
            segments = self._entries("segments", conflicts)
            self.reco = {utt: words(value)[0] for utt, value in segments.items()}
        for name in sorted(set(data.names) - {"utt2spk", "spk2utt"}):
            table = self._entries(name, conflicts)
            keyed = self._keyed_by(name, table)
            must = name in extra or schema.keyed_by(name, segmented=data.segmented)
            if must and name not in schema.DERIVED and keyed != "spk":
                for utt in [u for u in self.utts if self._key(keyed, u) not in table]:
                    self.utts.discard(utt)
                    self.reason[utt] = f"not in {name}"
        if conflicts:
            raise DataError(
                "\n".join(["cannot be repaired without guessing; nothing was changed:", *conflicts])
            )
        if not self.utts:
            counts = ", ".join(f"{n} {reason}" for reason, n in Counter(self.reason.values()).items())
            raise DataError(f"{data.path}: no utterance would remain ({counts}); nothing was changed")

    def kept(self, name: str) -> dict[str, str]:
        """The sorted entries of a file that are kept, reporting the others; none if the file is removed."""
        where = f"{self.data.path}/{name}"
        table = dict(sorted(self._entries(name, [], self.say).items()))
        keyed = self._keyed_by(name, table)
        if keyed == "spk":
            ids = {self.speaker[utt] for utt in self.utts}
        else:
            ids = {self._key(keyed, utt) for utt in self.utts}
        for key in [k for k in table if k not in ids]:
            why = self.reason.get(
                key, "not in utt2spk" if keyed == "utt" else f"no utterance of this {keyed} is left"
            )
            self.say(f"{where}: {key!r} dropped: {why}")
            del table[key]
        if name in schema.DERIVED and len(table) < len(ids):
            self.say(f"{where}: removed, since it has {len(table)} of {len(ids)} entries; make it again")
            self.remove.add(name)
            return {}
        return table

    def _key(self, keyed: schema.Keyed, utt: str) -> str:
        return self.reco.get(utt, "") if keyed == "reco" and self.data.segmented else utt

    def _keyed_by(self, name: str, table: dict[str, str]) -> schema.Keyed:
        return self.data.keyed_by(name, table, self.speaker)

    def _entries(self, name: str, conflicts: list[str], say: Say = lambda line: None) -> dict[str, str]:
        """A file's usable entries; ambiguous ones are added to ``conflicts``."""
        path, table, fields = self.data.path / name, {}, {"utt2spk": 1, "segments": 3}.get(name)
        for number, key, value in entries(path):
            if not key and value:  # blanks before the key
                key, _, value = value.replace("\t", " ").partition(" ")
                value = value.strip()
            if not key:
                say(f"{path}:{number}: blank line dropped")
            elif not value and not schema.empty_values(name):
                say(f"{path}:{number}: {key!r} dropped: it has no value")
            elif fields and len(words(value)) != fields:
                conflicts.append(f"{path}:{number}: {key!r} needs {fields} values, has {value!r}")
            elif table.setdefault(key, value) != value:
                conflicts.append(
                    f"{path}:{number}: {key!r} is {value!r}, but {table[key]!r} before; delete one"
                )
        return table


def _text(table: dict[str, str]) -> bytes:
    """The corrected content of a file."""
    return "".join(_lines(table)).encode()


def _lines(table: dict[str, str]) -> Iterator[str]:
    for key in sorted(table):
        yield f"{key} {table[key]}\n" if table[key] else f"{key}\n"


def _back_up(data: DataDir) -> Path:
    """Copy the directory's files to a new folder."""
    backup = data.path / ".backup" / time.strftime("%Y%m%d-%H%M%S")
    while backup.exists():
        backup = backup.with_name(backup.name + "+")
    backup.mkdir(parents=True)
    for path in {*(data.path / name for name in data.names), *data.verbatim}:
        shutil.copy2(path, backup / path.name)
    return backup
