"""A few utterances to listen to: noisy, enhanced by each system, and clean, with transcripts."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.report.experiment import Experiment
from espnet_posinv.report.media import audio_uri, level, spectrogram_uri
from espnet_posinv.report.scores import load_conditions, members, read_scores
from espnet_posinv.sample_rate import SAMPLE_RATE


class Transcript(NamedTuple):
    """A recogniser's output as pieces (kind, recognised words, spoken words), kind as jiwer names it."""

    recogniser: str
    pieces: list[tuple[str, str, str]]
    errors: int
    count: int  # of what is counted in the reference
    unit: str  # words, characters or phones


@dataclass
class Track:
    """One version of an utterance; audio and picture are data URIs, empty if the audio was not kept."""

    name: str
    colour: str
    audio: str = ""
    spectrogram: str = ""
    transcripts: list[Transcript] = field(default_factory=list)


@dataclass
class Utterance:
    """Versions of one utterance, and why it was chosen."""

    name: str
    test_set: str
    conditions: str
    why: str
    reference: str
    seconds: float
    tracks: list[Track]
    signals: dict[str, np.ndarray]  # of the tracks with audio


def examples(experiment: Experiment, count: int) -> tuple[str, list[Utterance]]:
    """The rule by which utterances are chosen, in words, and `count` of each test set with noise."""
    rule, found = "", []
    for test_set in experiment.places.noisy_sets if count else []:
        rule, chosen = choose(experiment, test_set, count)
        found += [load_utterance(experiment, test_set, name, why) for name, why in chosen]
    return rule, found


def choose(experiment: Experiment, test_set: str, count: int) -> tuple[str, list[tuple[str, str]]]:
    """Utterances evenly spread over all, ordered by how much fine-tuning changed their errors.

    The order is by the errors per word of the last system minus those of the model its training started from
    (or of noisy): most improved first, most worsened last.

    Returns:
        The rule in words, and pairs of an utterance and its place in the order.
    """
    recogniser, grid = next(iter(experiment.words.items()))
    systems = [name for name, row in grid.items() if test_set in row]
    last = systems[-1]
    start = experiment.systems[last].start
    first = start if start in systems else systems[0]
    after, before = grid[last][test_set], grid[first][test_set]
    change = (after.errors - before.errors) / np.maximum(after.words, 1)
    order = sorted(range(len(after.ids)), key=lambda k: (change[k], after.ids[k]))
    ranks = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    rule = f"ordered by errors per word of {last} minus those of {first}, by {recogniser}: "
    rule += "from most improved to most worsened"
    return rule, [
        (after.ids[order[r]], f"{r + 1} of {len(order)}, WER {100 * change[order[r]]:+.0f} points")
        for r in ranks
    ]


def load_utterance(experiment: Experiment, test_set: str, name: str, why: str) -> Utterance:
    """Audio, spectrograms and marked transcripts of one utterance, for each system its first seed.

    Raises:
        DataError: the noisy or clean audio is missing, or not mono at 16 kHz.
    """
    places, recognisers = experiment.places, list(experiment.words)
    folders = members(places.scores / recognisers[0], test_set)
    # the folder of each system's first seed, in order of rows
    systems = {
        folders[s][0].parent.name: experiment.systems[s].colour for s in experiment.systems if s in folders
    }
    entries = {system: places.experiments / system / "enhanced" / test_set / "spk1.scp" for system in systems}
    entries |= {"noisy": places.data / test_set / "wav.scp", "clean": places.data / test_set / "spk1.scp"}
    for system in ("noisy", "clean"):
        if not entries[system].exists():
            raise DataError(f"{entries[system]}: no such file; run stage 3")
    signals = {system: _samples(scp, name) for system, scp in entries.items() if scp.exists()}
    top = max(level(signal) for signal in signals.values())
    tracks = []
    for system, colour in {**systems, "clean": "clean"}.items():
        track = Track(system, colour)
        if system in signals:
            track.audio = audio_uri(signals[system])
            track.spectrogram = spectrogram_uri(signals[system], top)
        source, of_set = ("noisy", places.clean_set) if system == "clean" else (system, test_set)
        for recogniser in recognisers:
            path = places.scores / recogniser / source / f"{of_set}.json"
            scores = read_scores(path) if path.exists() else {"utterances": {}}
            if score := scores["utterances"].get(name):
                track.transcripts.append(transcript(recogniser, score, scores.get("unit", "words")))
        tracks.append(track)
    conditions = load_conditions(places.data, test_set, [name])
    return Utterance(
        name=name,
        test_set=test_set,
        conditions=", ".join(str(value[0]) for value in conditions.values()),
        why=why,
        reference=read_scp(places.data / test_set / "text", empty_values=True)[name],
        seconds=len(signals["clean"]) / SAMPLE_RATE,
        tracks=tracks,
        signals={track.name: signals[track.name] for track in tracks if track.name in signals},
    )


def transcript(recogniser: str, score: dict, unit: str) -> Transcript:
    """The recognised words of ``{"ref", "hyp", "S", "D", "I", "N"}``, aligned with the spoken ones."""
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
    return Transcript(recogniser, pieces, score["S"] + score["D"] + score["I"], score["N"], unit)


def _samples(scp, name: str) -> np.ndarray:
    table = read_scp(scp)
    if name not in table:
        raise DataError(f"{scp}: no utterance {name}")
    return read_mono(table[name])
