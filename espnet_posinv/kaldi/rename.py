"""Renaming the utterances, speakers and recordings of a data directory."""

from collections.abc import Callable, Iterator

from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.scp import DataError, fields

Rename = Callable[[str], str]


def _same(name: str) -> str:
    return name


def renamed(
    data: DataDir, *, utt: Rename = _same, spk: Rename = _same, reco: Rename = _same
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each file of a data directory with other ids, in the keys and in the values that hold ids.

    Without segments a recording is an utterance, and ``utt`` renames it.

    Raises:
        DataError: two ids become one.
    """
    if not data.segmented:
        reco = utt
    for name in data.names:
        if name == "spk2utt":
            continue
        table = data.read(name)
        rename = {"utt": utt, "spk": spk, "reco": reco}[data.keyed_by(name, table)]
        if name == "utt2spk":
            table = {key: spk(value) for key, value in table.items()}
        elif name == "segments":
            table = {k: " ".join([reco(fields(v)[0]), *fields(v)[1:]]) for k, v in table.items()}
        new = {rename(key): value for key, value in table.items()}
        if len(new) < len(table):
            raise DataError(
                f"{data.path}/{name}: the new ids are not distinct; choose another prefix or suffix"
            )
        yield name, new


def affix(prefix: str = "", suffix: str = "") -> Rename:
    """A renaming that adds a prefix and a suffix to an id."""
    return lambda name: f"{prefix}{name}{suffix}"
