"""The mini_debian corpus: Kaldi directories of noisy and clean speech made from installable recordings.

`membership` says who is where. The test has two groups of utterances (`utt2group`): ``sentences`` that
nothing was trained on, of known voices, and ``voices`` that nothing was trained on. The three test sets hold
the same utterances under the same ids (clean, in seen and in unseen noise), and a larger size only adds
utterances: an utterance's noise and SNR depend on its place in one fixed order, not on the size.

The training set is clean: noise is mixed in while training (`noise/train.scp`).

`dev`, for word errors during a training, is English: prompts whose texts no test set has, in the voice of
the tests and the noises of training, the same in every size.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from espnet_posinv.corpora.espeak import Lexicon
from espnet_posinv.corpora.fetch import check_space
from espnet_posinv.corpora.membership import divide, draw, same_text
from espnet_posinv.corpora.noises import seen_noises, unseen_noises
from espnet_posinv.corpora.prompts import LANGUAGES, Prompt, prompts
from espnet_posinv.files import atomic_write, new_folder, replacing
from espnet_posinv.perturb.noise import NoiseCutter, active_level, mix_at_snr
from espnet_posinv.sample_rate import SAMPLE_RATE

VERSION = 2  # of what is made; directories of another one are made again
LONGEST = 8.0  # seconds of a training utterance; longer prompts make the seen babble
JOIN_TO = 3.0  # seconds: shorter prompts of a speaker are joined until they last this long
TEST_SECONDS = (1.0, 13.0)
TEST_WORDS = 3  # of the shortest test sentence: fewer make a coarse error rate
VALID_SNR, TEST_SNR = (-5.0, 20.0), (-5.0, 15.0)  # dB, uniform
TRAIN_LEVEL, TEST_LEVEL = (-35.0, -18.0), -26.0  # dBFS over active speech
BABBLING = 300  # utterances of held-out voices that make the unseen babble
DEV_WORDS, DEV_SECONDS = 2, 28.0  # of a prompt of dev: one word alone is a letter or a number
# A round of the test: any number of rounds is as mixed as one. English comes twice, for the recognisers of
# words, and Czech, which has most voices.
ROUND = (
    *(("sentences", language) for language in ("fr", "it", "ru", "nl", "cs", "cs")),
    *(("voices", language) for language in ("en", "es", "nl", "cs", "en", "cs")),
)


@dataclass(frozen=True)
class Size:
    """How many utterances to train on (None: all there are), to validate on, and rounds of the test."""

    train: int | None
    valid: int
    rounds: int


SIZES = {"quick": Size(240, 16, 3), "default": Size(2000, 32, 36), "full": Size(None, 64, 50)}


@dataclass
class Utterance:
    """One line of a data directory; `wavs` holds samples `(T,)` by scp name (wav, spk1, noise1)."""

    key: str
    speaker: str
    text: str
    group: str
    noise: str
    snr: float
    wavs: dict[str, np.ndarray]


class Spoken(NamedTuple):
    """Clean speech `(T,)` and what stands beside it in a data directory."""

    key: str
    speaker: str
    text: str
    group: str
    samples: np.ndarray


def build(
    data: Path,
    downloads: Path,
    size: str = "default",
    seed: int = 0,
    own: Iterable[Path] = (),
    say: Callable[[str], None] = print,
    lexicon: Lexicon | None = None,
) -> None:
    """Make `data`/{train,valid,dev,test_clean,test_seen,test_unseen}; a set made before alike is kept.

    Raises:
        FetchError: a recording cannot be had or the disk is too small.
    """
    wanted = SIZES[size]
    seconds = 5 * ((wanted.train or 4000) + 3 * wanted.valid) + 9 * len(ROUND) * 4 * wanted.rounds + 9000
    keys = {
        "train": {"count": wanted.train, "seed": seed},
        "valid": {"count": wanted.valid, "seed": seed},
        "dev": {"count": None, "seed": seed},
        **{f"test_{kind}": {"count": wanted.rounds, "seed": seed} for kind in ("clean", "seen", "unseen")},
    }
    missing = [name for name, key in keys.items() if not _is_made(data / name, {**key, "made": VERSION})]
    if not missing:
        say(f"{data}: {', '.join(keys)} are there already")
        return
    data.mkdir(parents=True, exist_ok=True)
    check_space(data, seconds * SAMPLE_RATE * 2)
    say("reading speech and noise")
    parts = divide(p for language in LANGUAGES for p in prompts(language, downloads, own))
    test = test_order(parts)
    tested = {prompt.key for _, prompt in test}
    short, long = _by_length(parts["train"])
    train_noise, test_noise = seen_noises(long, downloads, own)
    spare = sorted((p for p in parts["voices"] if p.key not in tested), key=lambda p: draw(p.key))
    write_noises(data / "noise", "train", train_noise)
    for name in missing:
        if name == "train":
            utterances = _training(_enough(short, wanted.train), wanted.train, seed)
        elif name == "valid":
            utterances = _fixed(_valid(parts["valid"], wanted.valid), train_noise, VALID_SNR, [seed, 1])
        elif name == "dev":
            dev = _dev_utterances(spare, {same_text(p.text) for _, p in test})
            utterances = _fixed(dev, train_noise, TEST_SNR, [seed, 3])
        else:
            kind = name.removeprefix("test_")
            noises = {"clean": None, "seen": test_noise, "unseen": None}[kind]
            if kind == "unseen":
                talk = [p for p in spare if p.language != "en"][:BABBLING]
                noises = unseen_noises(talk, downloads, own)
            chosen = test[: len(ROUND) * wanted.rounds]
            utterances = _fixed(
                [_spoken(p, p.read(), group) for group, p in chosen], noises, TEST_SNR, [seed, 2]
            )
        count, hours = write_set(data / name, utterances, {**keys[name], "made": VERSION}, lexicon)
        say(f"{data / name}: {count} utterances, {60 * hours:.1f} min")


def _is_made(folder: Path, key: dict) -> bool:
    try:
        return json.loads((folder / "made.json").read_text()) == key
    except (OSError, ValueError):
        return False


def test_order(parts: dict[str, list[Prompt]]) -> list[tuple[str, Prompt]]:
    """All test utterances `(group, prompt)` in the one order of which each size takes the first.

    Each text stands once. Within a group and language, voices take turns.
    """
    queues = {}
    for group, language in dict.fromkeys(ROUND):
        items = parts["test" if group == "sentences" else group]
        turns: dict[str, int] = {}
        queue = []
        for prompt in sorted((p for p in items if p.language == language), key=lambda p: draw(p.key)):
            if len(same_text(prompt.text).split()) >= TEST_WORDS:
                turns[prompt.voice] = turns.get(prompt.voice, 0) + 1
                queue.append((turns[prompt.voice], draw(prompt.key), prompt))
        queues[group, language] = iter(sorted(queue, key=lambda entry: entry[:2]))
    chosen, texts = [], set()
    for _ in range(SIZES["full"].rounds):
        for group, language in ROUND:
            for _, _, prompt in queues[group, language]:
                text = language, same_text(prompt.text)
                if text not in texts and TEST_SECONDS[0] <= prompt.seconds <= TEST_SECONDS[1]:
                    texts.add(text)
                    chosen.append((group, prompt))
                    break
    return chosen


def _by_length(items: list[Prompt]) -> tuple[list[Prompt], list[Prompt]]:
    """Training prompts, and those that are too long for it."""
    short = [p for p in items if 0.3 <= p.seconds <= LONGEST]
    return short, [p for p in items if p.seconds > LONGEST]


def _enough(items: list[Prompt], count: int | None) -> list[tuple[Prompt, np.ndarray]]:
    """`(prompt, samples)` for `count` utterances, in a fixed random order; None: all."""
    spoken, seconds = [], 0.0
    for prompt in sorted(items, key=lambda p: draw(p.key)):
        if count is not None and seconds > 1.5 * count * JOIN_TO:
            break
        spoken.append((prompt, prompt.read()))
        seconds += len(spoken[-1][1]) / SAMPLE_RATE
    return spoken


def _valid(items: list[Prompt], count: int) -> list[Spoken]:
    """Validation utterances of 2 s and more in a fixed random order, each text once."""
    chosen = {}
    for prompt in sorted(items, key=lambda p: draw(p.key)):
        text = same_text(prompt.text)
        if len(chosen) == count:
            break
        if text not in chosen and 2 <= prompt.seconds <= LONGEST:
            chosen[text] = _spoken(prompt, prompt.read(), "valid")
    return list(chosen.values())


def _dev_utterances(items: list[Prompt], taken: set[str]) -> list[Spoken]:
    """English prompts but those with a text in `taken`, each text once, short ones joined."""
    left = {}
    for prompt in items:
        text = same_text(prompt.text)
        if prompt.language == "en" and len(text.split()) >= DEV_WORDS and text not in {*taken, *left}:
            left[text] = (prompt, prompt.read())
    spoken = [(p, x) for p, x in left.values() if len(x) / SAMPLE_RATE <= DEV_SECONDS]
    pieces = _joined(spoken, np.random.default_rng(30))
    return [
        Spoken(f"{speaker}-dev{i:02d}", speaker, text, "voices", x)
        for i, (speaker, text, x) in enumerate(pieces)
    ]


def _spoken(prompt: Prompt, x: np.ndarray, group: str) -> Spoken:
    return Spoken(prompt.key, prompt.speaker, prompt.text, group, x)


def _training(spoken: list, count: int | None, seed: int) -> Iterator[Utterance]:
    """`count` clean utterances of varied level: passes over the speech, each with prompts joined anew."""
    rng = np.random.default_rng([seed, 0])
    made = 0
    while count is None or made < count:
        for speaker, text, x in _joined(spoken, rng):
            if made == count:
                return
            x = x * np.float32(10 ** ((rng.uniform(*TRAIN_LEVEL) - active_level(x)) / 20))
            x = x * np.float32(min(1.0, 0.99 / np.abs(x).max()))
            key = f"{speaker}-{made:05d}"
            yield Utterance(key, speaker, text, "train", "clean", float("inf"), {"wav": x, "spk1": x})
            made += 1
        if count is None:
            return


def _joined(spoken: list, rng: np.random.Generator) -> list[tuple[str, str, np.ndarray]]:
    """Every prompt once, in random order, short ones joined to others of their speaker."""
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


def _fixed(spoken: list[Spoken], noises: dict | None, snrs: tuple, seed: list[int]) -> Iterator[Utterance]:
    """The same mixtures in whatever number: each utterance has its own seed, which draws noise and ratio."""
    for i, (key, speaker, text, group, x) in enumerate(spoken):
        x = x * np.float32(10 ** ((TEST_LEVEL - active_level(x)) / 20))
        peak = np.abs(x).max()
        x = x * np.float32(min(1.0, 0.99 / peak))
        if noises is None:
            yield Utterance(key, speaker, text, group, "clean", float("inf"), {"wav": x, "spk1": x})
            continue
        kinds = sorted(noises)
        rng = np.random.default_rng([*seed, i])
        snr = round(float(rng.uniform(*snrs)), 1)
        kind = kinds[rng.integers(len(kinds))]
        mixture = mix_at_snr(x, NoiseCutter(rng).cut(noises[kind], len(x)), snr)
        wavs = {"wav": mixture.mix, "spk1": mixture.speech, "noise1": mixture.noise}
        yield Utterance(key, speaker, text, group, kind, snr, wavs)


def write_noises(folder: Path, name: str, noises: dict[str, np.ndarray]) -> None:
    """Write `{kind: (T,)}` as 16-bit flac files, and `<name>.scp` with lines ``kind path``."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for kind, x in sorted(noises.items()):
        path = folder / name / f"{kind}.flac"
        with replacing(path) as temporary:
            sf.write(
                temporary, x * min(1.0, 0.99 / np.abs(x).max()), SAMPLE_RATE, subtype="PCM_16", format="FLAC"
            )
        lines.append(f"{kind} {path}\n")
    with atomic_write(folder / f"{name}.scp") as file:
        file.write("".join(lines))


def write_set(
    folder: Path, utterances: Iterable[Utterance], key: dict, lexicon: Lexicon | None = None
) -> tuple[int, float]:
    """Write a Kaldi directory with its 16-bit wav files; it appears under its name only when complete.

    Returns:
        Number of utterances and hours.
    """
    with new_folder(folder) as part:
        lines = {name: [] for name in ("text", "utt2spk", "utt2lang", "utt2group", "utt2noise", "utt2snr")}
        speakers: dict[str, list[str]] = {}
        samples = 0
        for u in utterances:
            written: dict[int, Path] = {}
            for name, x in u.wavs.items():  # what is clean anyway is written once
                path = written.setdefault(id(x), Path("wav") / name / f"{u.key}.wav")
                if not (part / path).exists():
                    (part / path).parent.mkdir(parents=True, exist_ok=True)
                    sf.write(part / path, x, SAMPLE_RATE, subtype="PCM_16")
                lines.setdefault(f"{name}.scp", []).append(f"{u.key} {folder / path}")
            for name, value in (
                ("text", u.text),
                ("utt2spk", u.speaker),
                ("utt2lang", u.speaker.split("-")[0]),
                ("utt2group", u.group),
                ("utt2noise", u.noise),
            ):
                lines[name].append(f"{u.key} {value}")
            lines["utt2snr"].append(f"{u.key} {u.snr:g}")
            if lexicon is not None:
                phones = lexicon.phones(u.text, u.speaker.split("-")[0])
                lines.setdefault("text_phones", []).append(f"{u.key} {phones}")
            speakers.setdefault(u.speaker, []).append(u.key)
            samples += len(u.wavs["wav"])
        lines["spk2utt"] = [f"{speaker} {' '.join(sorted(keys))}" for speaker, keys in speakers.items()]
        for name, rows in lines.items():
            (part / name).write_text("\n".join(sorted(rows)) + "\n", encoding="utf-8")
        (part / "made.json").write_text(json.dumps(key) + "\n")
    return len(lines["utt2spk"]), samples / SAMPLE_RATE / 3600
