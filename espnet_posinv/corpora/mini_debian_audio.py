"""Utterances of the mini_debian corpus: levels, joined prompts, fixed mixtures, Kaldi directories."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_posinv.corpora.espeak import Lexicon
from espnet_posinv.corpora.prompts import Prompt
from espnet_posinv.files import new_folder, replacing
from espnet_posinv.kaldi.datadir import spk2utt
from espnet_posinv.kaldi.scp import write_scp
from espnet_posinv.perturb.noise import NoiseCutter, at_level, below_full_scale, mix_at_snr
from espnet_posinv.sample_rate import SAMPLE_RATE

JOIN_TO = 3.0  # seconds: shorter prompts of a speaker are joined until they last this long
TRAIN_LEVEL, TEST_LEVEL = (-35.0, -18.0), -26.0  # dBFS over active speech


class Spoken(NamedTuple):
    """Clean speech `(T,)` and its entries in a data directory."""

    key: str
    speaker: str
    text: str
    group: str
    samples: np.ndarray


class Utterance(NamedTuple):
    """One line of a data directory; `wavs` holds samples `(T,)` by scp name (wav, spk1, noise1)."""

    speech: Spoken
    noise: str
    snr: float
    wavs: dict[str, np.ndarray]


def training(spoken: list, count: int | None, seed: int) -> Iterator[Utterance]:
    """`count` clean utterances of varied level: passes over the speech, each with prompts joined anew."""
    rng = np.random.default_rng([seed, 0])
    made = 0
    while count is None or made < count:
        for speaker, text, x in joined(spoken, rng):
            if made == count:
                return
            x = below_full_scale(at_level(x, rng.uniform(*TRAIN_LEVEL)))
            yield _clean(Spoken(f"{speaker}-{made:05d}", speaker, text, "train", x))
            made += 1
        if count is None:
            return


def joined(spoken: list[tuple[Prompt, np.ndarray]], rng: np.random.Generator) -> list[tuple]:
    """(speaker, text, samples) of each prompt once, in random order, short ones joined within a speaker."""
    pieces, open_pieces = [], {}
    for i in rng.permutation(len(spoken)):
        prompt, x = spoken[i]
        text, parts = open_pieces.pop(prompt.speaker, ("", []))
        if parts:
            parts.append(np.zeros(int(rng.uniform(0.1, 0.3) * SAMPLE_RATE), np.float32))
        text, parts = f"{text} {prompt.text}".strip(), [*parts, x]
        if sum(map(len, parts)) >= JOIN_TO * SAMPLE_RATE:
            pieces.append((prompt.speaker, text, np.concatenate(parts)))
        else:
            open_pieces[prompt.speaker] = (text, parts)
    return pieces


def fixed(spoken: list[Spoken], noises: dict | None, snrs: tuple, seed: list[int]) -> Iterator[Utterance]:
    """Mixtures that do not depend on how many there are: each utterance's own seed draws noise and SNR.

    `noises` None: clean speech.
    """
    for i, speech in enumerate(spoken):
        x = below_full_scale(at_level(speech.samples, TEST_LEVEL))
        if noises is None:
            yield _clean(speech._replace(samples=x))
            continue
        kinds = sorted(noises)
        rng = np.random.default_rng([*seed, i])
        snr = round(float(rng.uniform(*snrs)), 1)
        kind = kinds[rng.integers(len(kinds))]
        mixture = mix_at_snr(x, NoiseCutter(rng).cut(noises[kind], len(x)), snr)
        wavs = {"wav": mixture.mix, "spk1": mixture.speech, "noise1": mixture.noise}
        yield Utterance(speech, kind, snr, wavs)


def _clean(speech: Spoken) -> Utterance:
    return Utterance(speech, "clean", float("inf"), {"wav": speech.samples, "spk1": speech.samples})


def write_noises(folder: Path, name: str, noises: dict[str, np.ndarray]) -> None:
    """Write `{kind: (T,)}` as 16-bit flac files, and `<name>.scp` with lines ``kind path``."""
    paths = {kind: folder / name / f"{kind}.flac" for kind in noises}
    for kind, path in paths.items():
        with replacing(path) as temporary:
            x = noises[kind] * min(1.0, 0.99 / np.abs(noises[kind]).max())
            soundfile.write(temporary, x, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    write_scp(folder / f"{name}.scp", {kind: str(path) for kind, path in paths.items()})


def write_set(
    folder: Path, utterances: Iterable[Utterance], key: dict, lexicon: Lexicon | None = None
) -> tuple[int, float]:
    """Write a Kaldi directory with its 16-bit wav files; it appears under its name only when complete.

    Returns:
        Number of utterances and hours.
    """
    lists: dict[str, dict[str, str]] = {}
    samples = 0
    with new_folder(folder) as part:
        for (utt, speaker, text, group, _), noise, snr, wavs in utterances:
            language = speaker.split("-")[0]
            entries = {"text": text, "utt2spk": speaker, "utt2lang": language, "utt2group": group}
            entries |= {"utt2noise": noise, "utt2snr": f"{snr:g}"}
            if lexicon is not None:
                entries["text_phones"] = lexicon.phones(text, language)
            written: dict[int, Path] = {}
            for name, x in wavs.items():  # signals that are the same array are written once
                path = written.setdefault(id(x), Path("wav") / name / f"{utt}.wav")
                if not (part / path).exists():
                    (part / path).parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(part / path, x, SAMPLE_RATE, subtype="PCM_16")
                entries[f"{name}.scp"] = str(folder / path)
            for name, value in entries.items():
                lists.setdefault(name, {})[utt] = value
            samples += len(wavs["wav"])
        speakers = lists["utt2spk"]
        lists["spk2utt"] = spk2utt({utt: speakers[utt] for utt in sorted(speakers)})
        for name, table in lists.items():
            write_scp(part / name, table)
        (part / "made.json").write_text(json.dumps(key) + "\n")
    return len(speakers), samples / SAMPLE_RATE / 3600
