"""A few utterances to listen to: noisy, every system, clean, with what recognisers made of them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from espnet_posinv.kaldi.audio import read_audio
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.report.html_figures import SAMPLE_RATE, audio_uri, level, spectrogram_uri
from espnet_posinv.report.markdown import Places, Table
from espnet_posinv.report.results import criterion_of, load_conditions, members


class Transcript(NamedTuple):
    """What a recogniser heard: pieces are (kind, heard words, spoken words), kind as jiwer names it."""

    recogniser: str
    pieces: list[tuple[str, str, str]]
    errors: int
    words: int


@dataclass
class Track:
    """One version of an utterance; audio and picture are data URIs, empty where the audio was not kept."""

    name: str
    colour: str
    audio: str = ""
    spectrogram: str = ""
    transcripts: list[Transcript] = field(default_factory=list)


@dataclass
class Utterance:
    name: str
    test_set: str
    conditions: str
    why: str
    reference: str
    seconds: float
    tracks: list[Track]
    signals: dict[str, np.ndarray]  # of the tracks whose audio is there


def choose(table: Table, test_set: str, pretrained: str, count: int) -> tuple[str, list[tuple[str, str]]]:
    """Utterances evenly spread over all, ordered by how much fine-tuning changed their errors.

    The order is by the errors per word of the last system, less those of the one it started from: the first
    is helped most, the last is harmed most, so nothing is picked by ear.

    Args:
        table: cells of one recogniser.
        test_set: its name.
        pretrained: the system that fine-tuning started from; noisy where it is not in the table.
        count: how many.

    Returns:
        The rule in words, and pairs of an utterance and its place in the order.
    """
    systems = [name for name, row in table.items() if test_set in row]
    last, first = systems[-1], pretrained if pretrained in systems else systems[0]
    after, before = table[last][test_set], table[first][test_set]
    change = (after.errors - before.errors) / np.maximum(after.words, 1)
    order = sorted(range(len(after.ids)), key=lambda k: (change[k], after.ids[k]))
    count = min(count, len(order))
    ranks = np.unique(np.linspace(0, len(order) - 1, count).round().astype(int)) if count > 1 else [0][:count]
    rule = f"ordered by errors per word of {last} less those of {first}, from most helped to most harmed"
    return rule, [
        (after.ids[order[r]], f"{r + 1} of {len(order)}, WER {100 * change[order[r]]:+.0f} points")
        for r in ranks
    ]


def load_utterance(places: Places, recognisers: list[str], test_set: str, name: str, why: str) -> Utterance:
    """Audio, spectrograms and marked transcripts of one utterance, for each system its first seed.

    Raises:
        DataError: the noisy or clean audio is missing, or not at 16 kHz.
    """
    systems = _systems(places, recognisers[0], test_set)
    entries = {system: places.experiments / system / "enhanced" / test_set / "spk1.scp" for system in systems}
    entries["noisy"] = places.data / test_set / "wav.scp"
    entries["clean"] = places.data / test_set / "spk1.scp"
    signals = {}
    for system, scp in entries.items():
        if scp.exists():
            signals[system] = _samples(scp, name)
    for system in ("noisy", "clean"):
        if system not in signals:
            raise DataError(f"{entries[system]}: no such file; run stage 3")
    top = max(level(signal) for signal in signals.values())
    tracks = []
    for system in [*systems, "clean"]:
        colour = (
            "clean"
            if system == "clean"
            else "noisy"
            if system == "noisy"
            else criterion_of(system) or "pretrained"
        )
        track = Track(system, colour)
        if system in signals:
            track.audio = audio_uri(signals[system])
            track.spectrogram = spectrogram_uri(signals[system], top)
        source, of_set = ("noisy", places.clean_set) if system == "clean" else (system, test_set)
        for recogniser in recognisers:
            scores = _scores(places.scores / recogniser / source / f"{of_set}.json")
            if name in scores:
                track.transcripts.append(transcript(recogniser, scores[name]))
        tracks.append(track)
    conditions = load_conditions(places.data, test_set, [name])
    reference = read_scp(places.data / test_set / "text", empty_values=True)[name]
    return Utterance(
        name,
        test_set,
        ", ".join(str(value[0]) for value in conditions.values()),
        why,
        reference,
        len(signals["clean"]) / SAMPLE_RATE,
        tracks,
        {track.name: signals[track.name] for track in tracks if track.name in signals},
    )


def transcript(recogniser: str, score: dict) -> Transcript:
    """The heard words of ``{"ref", "hyp", "S", "D", "I", "N"}`` with their errors."""
    import jiwer

    spoken, heard = score["ref"].split(), score["hyp"].split()
    pieces = [("insert", score["hyp"], "")] if heard else []
    if spoken:
        pieces = [
            (
                chunk.type,
                " ".join(heard[chunk.hyp_start_idx : chunk.hyp_end_idx]),
                " ".join(spoken[chunk.ref_start_idx : chunk.ref_end_idx]),
            )
            for chunk in jiwer.process_words(score["ref"], score["hyp"]).alignments[0]
        ]
    return Transcript(recogniser, pieces, score["S"] + score["D"] + score["I"], score["N"])


def _systems(places: Places, recogniser: str, test_set: str) -> list[str]:
    """Names with seed, the first seed of each, in order of rows."""
    return [paths[0].parent.name for paths in members(places.scores / recogniser, test_set).values()]


def _samples(scp: Path, name: str) -> np.ndarray:
    table = read_scp(scp)
    if name not in table:
        raise DataError(f"{scp}: no utterance {name}")
    samples, rate = read_audio(table[name])
    if rate != SAMPLE_RATE or samples.shape[1] != 1:
        raise DataError(
            f"{table[name]}: {samples.shape[1]} channel(s) at {rate} Hz, need one at {SAMPLE_RATE}"
        )
    return samples[:, 0]


def _scores(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["utterances"] if path.exists() else {}
