"""Data directories for training, validation and test from a folder of recordings and their transcripts."""

import hashlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from espnet_posinv.kaldi.audio import audio_info
from espnet_posinv.kaldi.datadir import write_data_dir
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff"}
SETS = ("train", "valid", "test")


def wav_folder(
    audio: str | Path,
    transcripts: str | Path,
    target: str | Path,
    *,
    speaker: str = "",
    shares: tuple[float, float] = (0.1, 0.1),
    seed: int = 0,
) -> dict[str, int]:
    """Write ``target/{train,valid,test}`` with wav.scp, utt2spk and text; returns the utterances of each set.

    Sets share no speaker; with fewer than three speakers, they share no utterance only.

    Args:
        audio: folder, searched at any depth.
        transcripts: lines ``name text``, with a tab between them where names have blanks; a name is a file's,
            without folder, or its path below `audio`; with or without suffix.
        speaker: regular expression whose first group, in a recording's path below `audio`, is the speaker;
            "": the recording's folder.
        shares: approximate shares of the utterances for valid and test.

    Raises:
        DataError: no recordings; missing transcripts and unusable recordings, all named; a path without
            speaker; two recordings of one name.
    """
    audio = Path(audio)
    files = sorted(p for p in audio.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise DataError(f"{audio}: no recordings ({', '.join(sorted(SUFFIXES))})")
    texts = _read_transcripts(Path(transcripts))
    tables: dict[str, dict[str, str]] = {name: {} for name in ("wav.scp", "utt2spk", "text")}
    missing, used = [], set()
    infos = list(parallel_map(_problem, files, label="checking recordings"))
    problems = [f"  {path}: {problem}" for path, problem in zip(files, infos, strict=True) if problem]
    for path in files:
        name = path.relative_to(audio)
        below = name.with_suffix("")
        who = _speaker(below, speaker)
        utt = "-".join(re.sub(r"\s", "_", part) for part in below.parts)
        utt = utt if utt.startswith(who) else f"{who}-{utt}"
        if utt in tables["wav.scp"]:
            raise DataError(f"{path}: {utt} is also {tables['wav.scp'][utt]}; rename one of them")
        line = next((n for n in (str(below), below.name, str(name), name.name) if n in texts), None)
        if line is None:
            missing.append(str(below))
            continue
        used.add(line)
        text = texts[line]
        if not text:
            problems.append(
                f"  {path}: no words in {transcripts}; complete the line, or take the recording away"
            )
        tables["wav.scp"][utt], tables["utt2spk"][utt], tables["text"][utt] = str(path.absolute()), who, text
    if missing:
        some = ", ".join(missing[:10]) + (", ..." if len(missing) > 10 else "")
        what = f"{transcripts}: no line for {len(missing)} of {len(files)} recordings: {some}"
        problems.append(f"{what}; a line is like: {Path(missing[0]).name} what is said")
    if problems:
        raise DataError("\n".join([f"{audio}: correct these, and run again", *problems]))
    if idle := sorted(texts.keys() - used):
        some = ", ".join(idle[:10]) + (", ..." if len(idle) > 10 else "")
        what = f"{len(idle)} of {len(texts)} lines have no recording"
        logging.warning(f"{transcripts}: {what} below {audio}: {some}")
    chosen = _split(tables["utt2spk"], shares, seed)
    for name in SETS:
        if not chosen[name]:
            raise DataError(f"{audio}: {len(files)} recordings are too few: none is left for {name}")
        parts = ((file, {utt: table[utt] for utt in chosen[name]}) for file, table in tables.items())
        write_data_dir(Path(target) / name, parts)
    return {name: len(utts) for name, utts in chosen.items()}


def _problem(path: Path) -> str:
    """Why a recording cannot be used; "" if it can."""
    try:
        channels = audio_info(str(path)).channels
    except DataError as error:
        return str(error).removeprefix(f"{path}: ")
    return "" if channels == 1 else f"{channels} channels; make one of them, as with: sox IN OUT remix 1"


def _read_transcripts(path: Path) -> dict[str, str]:
    texts = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may have other separators
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; name the file of transcripts") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8; convert the file (iconv)") from None
    for number, line in enumerate(lines, 1):
        name, _, text = line.strip(" \r").partition("\t" if "\t" in line else " ")
        if name in texts and texts[name] != text.strip():
            raise DataError(f"{path}:{number}: {name!r} has two transcripts")
        if name:
            texts[name] = text.strip()
    return texts


def _speaker(below: Path, pattern: str) -> str:
    if not pattern:
        return re.sub(r"\s", "_", below.parent.name) or "speaker"
    found = re.search(pattern, str(below))
    if not found or not found.groups() or not found[1]:
        raise DataError(f"{below}: the pattern {pattern!r} finds no speaker in it (its first group is one)")
    return re.sub(r"\s", "_", found[1])


def _split(utt2spk: Mapping[str, str], shares: tuple[float, float], seed: int) -> dict[str, list[str]]:
    """Utterances of each set: whole speakers, drawn by their names; utterances where speakers are few."""
    by_speaker = len(set(utt2spk.values())) >= len(SETS)
    groups: dict[str, list[str]] = {}
    for utt in sorted(utt2spk):
        groups.setdefault(utt2spk[utt] if by_speaker else utt, []).append(utt)
    drawn = sorted(groups, key=lambda name: hashlib.blake2b(f"{seed} {name}".encode()).hexdigest())
    chosen: dict[str, list[str]] = {name: [] for name in SETS}
    for i, group in enumerate(drawn):
        left = len(drawn) - i  # each set without a group yet must get one
        name = "train"
        for other, share in zip(("test", "valid"), reversed(shares), strict=True):
            if len(chosen[other]) < share * len(utt2spk) and (not chosen[other] or left > 1):
                name = other
                break
        chosen[name] += groups[group]
    return {name: sorted(utts) for name, utts in chosen.items()}
