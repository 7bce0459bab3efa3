"""The mini_debian corpus: Kaldi directories of noisy and clean speech made from installable recordings.

Training and validation speak French, Italian and Russian; the test speaks English, with a voice and sentences
that nothing was trained on. The three test sets hold the same utterances under the same ids (clean, in seen
and in unseen noise), and a larger size only adds utterances: an utterance's noise and SNR depend on its place
in one fixed order, not on the size.

`dev`, for word errors during a training, is English too: prompts whose texts no test set has, in the voice of
the tests and the noises of training, the same in every size.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from espnet_posinv.corpora.asterisk import Prompt, prompts
from espnet_posinv.corpora.fetch import check_space
from espnet_posinv.corpora.noises import SEEN_BABBLE, seen_noises, unseen_noises
from espnet_posinv.files import new_folder
from espnet_posinv.perturb.noise import NoiseCutter, active_level, mix_at_snr
from espnet_posinv.sample_rate import SAMPLE_RATE

TRAIN_LANGUAGES = ("fr", "it", "ru")
LONGEST = 8.0  # seconds of a training utterance; longer prompts make the seen babble
JOIN_TO = 3.0  # seconds: shorter prompts of a speaker are joined until they last this long
TEST_SECONDS = (1.0, 13.0)
TEST_WORDS = 4  # of the shortest test sentence: fewer words make a coarse error rate
TRAIN_SNR, TEST_SNR = (-2.0, 20.0), (0.0, 10.0)  # dB, uniform
TRAIN_LEVEL, TEST_LEVEL = (-35.0, -18.0), -26.0  # dBFS over active speech
DEV_WORDS, DEV_SECONDS = 2, 28.0  # of a prompt of dev: one word alone is a letter or a number
BABBLE_SHARE = 0.3  # of the training mixtures: the hardest noise, and many voices make it up


@dataclass(frozen=True)
class Size:
    """How many mixtures to train on, utterances to validate on and to test on (None: all there are)."""

    train: int
    valid: int
    test: int | None


SIZES = {"quick": Size(240, 16, 12), "default": Size(2000, 32, 60), "full": Size(4000, 32, None)}


@dataclass
class Utterance:
    """One line of a data directory; `wavs` holds samples `(T,)` by scp name (wav, spk1, noise1)."""

    key: str
    speaker: str
    text: str
    noise: str
    snr: float
    wavs: dict[str, np.ndarray]


Spoken = tuple[str, str, str, np.ndarray]  # key, speaker, text, samples (T,)


def build(
    data: Path,
    downloads: Path,
    size: str = "default",
    seed: int = 0,
    own: Iterable[Path] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Make `data`/{train,valid,dev,test_clean,test_seen,test_unseen}; a set made before alike is kept.

    Raises:
        FetchError: a recording cannot be had or the disk is too small.
    """
    wanted = SIZES[size]
    seconds = 5 * (wanted.train + wanted.valid) + 3 * 4 * (wanted.test or 320) + 400
    keys = {
        "train": {"count": wanted.train, "seed": seed},
        "valid": {"count": wanted.valid, "seed": seed},
        "dev": {"count": None, "seed": seed},
        **{f"test_{kind}": {"count": wanted.test, "seed": seed} for kind in ("clean", "seen", "unseen")},
    }
    missing = [name for name, key in keys.items() if not _is_made(data / name, key)]
    if not missing:
        say(f"{data}: {', '.join(keys)} are there already")
        return
    data.mkdir(parents=True, exist_ok=True)
    check_space(data, seconds * SAMPLE_RATE * 2 * 3)
    say("reading speech and noise")
    train_noise, test_noise = seen_noises(downloads, own)
    train, valid = _split(
        [p for language in TRAIN_LANGUAGES for p in prompts(language, downloads, own)], wanted.valid
    )
    test = _test_prompts(downloads, own)
    dev = _dev_utterances(downloads, own, {same_text(prompt.text) for prompt, _ in test})
    for name in missing:
        if name == "train":
            utterances = _training(train, train_noise, wanted.train, seed)
        elif name == "valid":
            utterances = _fixed(_named(valid), train_noise, TRAIN_SNR, [seed, 1])
        elif name == "dev":
            utterances = _fixed(dev, train_noise, TEST_SNR, [seed, 3])
        else:
            kind = name.removeprefix("test_")
            noises = {"clean": None, "seen": test_noise, "unseen": None}[kind]
            if kind == "unseen":
                noises = unseen_noises(downloads, own)
            utterances = _fixed(_named(test[: wanted.test]), noises, TEST_SNR, [seed, 2])
        count, hours = write_set(data / name, utterances, keys[name])
        say(f"{data / name}: {count} utterances, {60 * hours:.1f} min")


def _is_made(folder: Path, key: dict) -> bool:
    try:
        return json.loads((folder / "made.json").read_text()) == key
    except (OSError, ValueError):
        return False


def same_text(text: str) -> str:
    """What two prompts share when they say the same words: lower case, letters and digits only."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _split(items: list[Prompt], valid_count: int) -> tuple[list, list]:
    """Training and validation `(prompt, samples)`; no text stands in both."""
    spoken = [(p, p.read()) for p in items]
    spoken = [(p, x) for p, x in spoken if 0.3 <= len(x) / SAMPLE_RATE <= LONGEST]
    order = np.random.default_rng(10).permutation(len(spoken))
    valid, texts = [], set()
    for i in order:
        prompt, x = spoken[i]
        text = same_text(prompt.text)
        if len(valid) < valid_count and len(x) >= 2 * SAMPLE_RATE and text not in texts:
            valid.append((prompt, x))
            texts.add(text)
    return [(p, x) for p, x in spoken if same_text(p.text) not in texts], valid


def _test_prompts(downloads: Path, own: Iterable[Path]) -> list:
    """English `(prompt, samples)` of `TEST_WORDS` words or more, each text once, in a fixed random order."""
    chosen, texts = [], set()
    items = prompts("en", downloads, own)
    for i in np.random.default_rng(20).permutation(len(items)):
        text = same_text(items[i].text)
        if len(text.split()) < TEST_WORDS or text in texts:
            continue
        x = items[i].read()
        if TEST_SECONDS[0] <= len(x) / SAMPLE_RATE <= TEST_SECONDS[1]:
            texts.add(text)
            chosen.append((items[i], x))
    return chosen


def _dev_utterances(downloads: Path, own: Iterable[Path], taken: set[str]) -> list[Spoken]:
    """English prompts but those with a text in `taken`, each text once, short ones joined."""
    left = {}
    for prompt in prompts("en", downloads, own):
        text = same_text(prompt.text)
        if len(text.split()) >= DEV_WORDS and text not in taken and text not in left:
            left[text] = (prompt, prompt.read())
    spoken = [(p, x) for p, x in left.values() if len(x) / SAMPLE_RATE <= DEV_SECONDS]
    pieces = _joined(spoken, np.random.default_rng(30))
    return [(f"{speaker}-dev{i:02d}", speaker, text, x) for i, (speaker, text, x) in enumerate(pieces)]


def _named(spoken: list) -> list[Spoken]:
    return [(p.key, p.speaker, p.text, x) for p, x in spoken]


def _training(spoken: list, noises: dict, count: int, seed: int) -> Iterator[Utterance]:
    """`count` mixtures: passes over the speech, each with prompts joined anew and other noise."""
    rng = np.random.default_rng([seed, 0])
    kinds = sorted(set(noises) - {SEEN_BABBLE})
    cutter = NoiseCutter(rng)
    made = 0
    while made < count:
        for speaker, text, x in _joined(spoken, rng):
            if made == count:
                return
            kind = SEEN_BABBLE if rng.random() < BABBLE_SHARE else kinds[rng.integers(len(kinds))]
            snr = round(float(rng.uniform(*TRAIN_SNR)), 1)
            x = x * np.float32(10 ** ((rng.uniform(*TRAIN_LEVEL) - active_level(x)) / 20))
            yield _mixed(f"{speaker}-{made:05d}", speaker, text, x, kind, snr, cutter, noises)
            made += 1


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
    """The same mixtures in whatever number: utterance i has kind i modulo their count, and its own seed."""
    for i, (key, speaker, text, x) in enumerate(spoken):
        x = x * np.float32(10 ** ((TEST_LEVEL - active_level(x)) / 20))
        peak = np.abs(x).max()
        x = x * np.float32(min(1.0, 0.99 / peak))
        if noises is None:
            yield Utterance(key, speaker, text, "clean", float("inf"), {"wav": x, "spk1": x})
            continue
        kinds = sorted(noises)
        rng = np.random.default_rng([*seed, i])
        snr = round(float(rng.uniform(*snrs)), 1)
        kind = kinds[i % len(kinds)]
        yield _mixed(key, speaker, text, x, kind, snr, NoiseCutter(rng), noises)


def _mixed(
    key: str, speaker: str, text: str, x: np.ndarray, kind: str, snr: float, cutter: NoiseCutter, noises: dict
) -> Utterance:
    mixture = mix_at_snr(x, cutter.cut(noises[kind], len(x)), snr)
    wavs = {"wav": mixture.mix, "spk1": mixture.speech, "noise1": mixture.noise}
    return Utterance(key, speaker, text, kind, snr, wavs)


def write_set(folder: Path, utterances: Iterable[Utterance], key: dict) -> tuple[int, float]:
    """Write a Kaldi directory with its 16-bit wav files; it appears under its name only when complete.

    Returns:
        Number of utterances and hours.
    """
    with new_folder(folder) as part:
        lines = {name: [] for name in ("text", "utt2spk", "utt2noise", "utt2snr")}
        speakers: dict[str, list[str]] = {}
        samples = 0
        for u in utterances:
            for name, x in u.wavs.items():
                path = Path("wav") / name / f"{u.key}.wav"
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                sf.write(part / path, x, SAMPLE_RATE, subtype="PCM_16")
                lines.setdefault(f"{name}.scp", []).append(f"{u.key} {folder / path}")
            for name, value in (("text", u.text), ("utt2spk", u.speaker), ("utt2noise", u.noise)):
                lines[name].append(f"{u.key} {value}")
            lines["utt2snr"].append(f"{u.key} {u.snr:g}")
            speakers.setdefault(u.speaker, []).append(u.key)
            samples += len(u.wavs["wav"])
        lines["spk2utt"] = [f"{speaker} {' '.join(sorted(keys))}" for speaker, keys in speakers.items()]
        for name, rows in lines.items():
            (part / name).write_text("\n".join(sorted(rows)) + "\n", encoding="utf-8")
        (part / "made.json").write_text(json.dumps(key) + "\n")
    return len(lines["utt2spk"]), samples / SAMPLE_RATE / 3600
