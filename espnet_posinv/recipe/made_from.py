"""A note beside a product that lists its inputs: audio lists, weights, configuration, settings.

    posinv recipe made-from exp/nsnet2/enhanced/test/spk1.scp --folder \
        --reads dump/raw/test/wav.scp exp/nsnet2/model.pth --value fs=16000

exits with 0 if the product exists and was made from exactly these inputs, and with 3 if it must be made: then
an old product has been deleted and the note of the new one written. With ``--refuse`` an old product, such as
a long training, is kept: the changes are printed, and the status is 1. ``--redo true`` always makes it again.
The note is written before the work, so that a change during the work is found next time.

:func:`stale` compares a note with the inputs as they are now, and these with their own notes. By it a stage
knows that it must run, and refuses to read a product of other data.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.recipe.contents import Contents, Fact

THERE, REFUSED, MAKE = 0, 1, 3
NOTE = ".made_from.json"


def note_of(product: str | Path) -> Path | None:
    """The note of a product: its own, or that of its folder; None if there is none."""
    product = Path(product)
    own = [product / NOTE] if product.is_dir() else [_own_note(product), product.parent / NOTE]
    return next((path for path in own if path.is_file()), None)


def _own_note(product: Path) -> Path:
    return product.with_name(f".{product.name}.made_from")


def differences(old: dict[str, Fact], new: dict[str, Fact], *, gone: bool = True) -> list[str]:
    """A line for each path whose content is another.

    Args:
        old, new: facts by path, see :class:`Contents`.
        gone: whether a path that is missing now counts as changed.
    """
    lines = []
    for path in sorted(old.keys() | new.keys()):
        before, now = old.get(path), new.get(path)
        if before and now and now.get("pipes", "") is None:
            before = {**before, "pipes": None}  # what they gave then cannot be compared
        if before == now or (not gone and now and now.get("missing")):
            continue
        if before is None or now is None:
            lines.append(f"{path}: {'new' if before is None else 'not used any more'}")
        elif now.get("missing"):
            lines.append(f"{path}: gone, or files it names are")
        elif "entries" in before and "entries" in now:
            same = "the same ids, other content" if before["ids"] == now["ids"] else "other ids"
            lines.append(f"{path}: {same} ({before['entries']} entries before, {now['entries']} now)")
        else:
            lines.append(f"{path}: other content")
    return lines


def unknown(facts: Mapping[str, Fact]) -> list[str]:
    """A line for each list whose pipes may give other audio than before, which only running them shows."""
    paths = [path for path, fact in facts.items() if fact.get("pipes", "") is None]
    return [f"{path}: it has pipes that do not show what they read" for path in paths]


def stale(
    product: str | Path, contents: Contents, seen: set[str] | None = None, *, sure: bool = True
) -> list[str]:
    """What changed since a product was made: in its inputs, and in the inputs of these.

    Empty for a product without a note, such as data that the recipe did not make. An input that does not
    exist any more, such as audio that was deleted to save space, is no change.

    Args:
        product: a file or folder.
        contents: describes what it was made from.
        seen: notes that were compared already.
        sure: count only certain changes; else also pipes among the product's own inputs, which may give other
            audio.
    """
    seen = set() if seen is None else seen
    note = note_of(product)
    if note is None or str(note) in seen:
        return []
    seen.add(str(note))
    try:
        facts = json.loads(note.read_text(encoding="utf-8"))["reads"]
    except (ValueError, KeyError):
        return [f"{note}: unreadable"]
    # A data directory is described with its files: those of the note are compared, and new ones.
    now = contents.describe(facts)
    lines = differences(facts, {path: fact for path, fact in now.items() if path in facts}, gone=False)
    lines += [] if sure else unknown(now)
    return lines + [line for path in facts for line in stale(path, contents, seen)]


def drop_stale(products: Iterable[Path], contents: Contents) -> None:
    """Delete products whose inputs have changed, for example by a run with other options, and print them."""
    for product in products:
        if lines := stale(product, contents):
            print(f"{product}: left out and deleted; {lines[0]}", flush=True)
            product.unlink()


def begin(
    product: str | Path,
    reads: list[str],
    values: dict[str, object],
    contents: Contents,
    *,
    folder: bool = False,
    keep: bool = False,
    refuse: str = "",
    redo: bool = False,
) -> int:
    """Decide whether a product is made again: THERE, MAKE or REFUSED.

    Args:
        product: the file that is written last.
        reads: files, lists and folders that are its inputs.
        values: its settings, JSON-compatible.
        contents: describes `reads`.
        folder: the note is that of the product's folder, which is deleted with the product.
        keep: delete the product only; its maker decides which files of the folder are still valid.
        refuse: advice to print instead of making an old product again; "": it is made again.
        redo: make it again in any case.
    """
    product = Path(product)
    note = product.parent / NOTE if folder else _own_note(product)
    new = {"reads": contents.describe(reads), "values": json.loads(json.dumps(values))}
    old = _read(note)
    lines = changes(old, new) + unknown(new["reads"])
    if not lines and not redo:
        return THERE if product.exists() else MAKE
    what = product.parent if folder else product
    if not redo and (old is not None or what.exists()):
        if refuse:
            print(f"{what} was made from something else:", *lines, refuse, sep="\n  ", file=sys.stderr)
            return REFUSED
        more = f" (and {len(lines) - 1} more)" if lines[1:] else ""
        print(f"{what}: made again; {lines[0]}{more}", flush=True)
    if folder and (redo or not keep):
        shutil.rmtree(product.parent, ignore_errors=True)
    product.unlink(missing_ok=True)
    with atomic_write(note) as file:
        json.dump(new, file, indent=1)
    return MAKE


def changes(old: dict | None, new: dict) -> list[str]:
    """What differs between two notes, a line each."""
    if old is None:
        return ["there is no note of what it was made from"]
    return differences(old["reads"], new["reads"]) + value_changes(old["values"], new["values"])


def value_changes(old: dict, new: dict) -> list[str]:
    """Lines ``key: old -> new`` for every leaf in which two trees of settings differ."""
    before, now, missing = dict(_leaves(old)), dict(_leaves(new)), "(not set)"
    return [
        f"{key}: {before.get(key, missing)} -> {now.get(key, missing)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key, missing) != now.get(key, missing)
    ]


def paths_in(values, key: str = "") -> list[str]:
    """Files and folders that settings name; a text may hold several, or ``NAME=LOADER:MODEL,set=FILE``."""
    if isinstance(values, (dict, list)):
        items = values.items() if isinstance(values, dict) else ((key, value) for value in values)
        return [path for name, value in items for path in paths_in(value, str(name))]
    if not isinstance(values, str) or key == "output_dir":
        return []
    words = [values] if os.path.exists(values) else values.split()
    return [path for word in words for path in _paths_of(word)]


def _paths_of(word: str) -> list[str]:
    """The parts of a word that are paths; a name without / and . counts only after a colon, as a model."""
    found = []
    for part in re.split(r",(?=[a-z_]+=)", word):
        cuts = [match.start() for match in re.finditer("[:=]", part)]
        spans = ((a, b) for a in (-1, *cuts) for b in (*cuts, len(part)) if a < b)
        for a, b in spans:
            name = part[a + 1 : b]
            is_model = b == len(part) and part[a : a + 1] == ":"
            if name.strip("./") and (is_model or set(name) & set("/.")) and os.path.exists(name):
                found.append(name)
    return found


def _leaves(values, prefix: str = ""):
    """(dotted key, value) of every leaf."""
    if not values or not isinstance(values, (dict, list)):
        if prefix:
            yield prefix, values
        return
    for key, value in values.items() if isinstance(values, dict) else enumerate(values):
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))


def _read(note: Path) -> dict | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return found if found.keys() == {"reads", "values"} else None
    except (FileNotFoundError, ValueError):
        return None
