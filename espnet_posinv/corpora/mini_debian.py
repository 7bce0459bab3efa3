"""The mini_debian corpus: Kaldi directories of noisy and clean speech made from installable recordings.

`membership` decides which prompts are for training and which for tests. The test has two groups of utterances
(`utt2group`): ``sentences``, unseen texts of training voices, and ``voices``, held-out voices. The three test
sets hold the same utterances under the same ids (clean, in seen and in unseen noise). A larger size only adds
utterances: an utterance's noise and SNR depend on its place in one fixed order, not on the size.

The training set is clean: noise is mixed in during training (`noise/train.scp`).

`dev`, for word errors during a training, is English: prompts with texts of no test set, in the voice of the
tests and the noises of training, the same in every size.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.corpora.espeak import Lexicon
from espnet_posinv.corpora.fetch import check_space
from espnet_posinv.corpora.membership import divide, draw, same_text
from espnet_posinv.corpora.mini_debian_audio import (
    JOIN_TO,
    Spoken,
    fixed,
    joined,
    training,
    write_noises,
    write_set,
)
from espnet_posinv.corpora.noises import seen_noises, unseen_noises
from espnet_posinv.corpora.prompts import LANGUAGES, Prompt, prompts
from espnet_posinv.sample_rate import SAMPLE_RATE

VERSION = 2  # of the corpus; directories of another version are made again
LONGEST = 8.0  # seconds of a training utterance; longer prompts make the seen babble
TEST_SECONDS = (1.0, 13.0)
TEST_WORDS = 3  # of the shortest test sentence: fewer make a coarse error rate
VALID_SNR, TEST_SNR = (-5.0, 20.0), (-5.0, 15.0)  # dB, uniform
BABBLING = 300  # utterances of held-out voices that make the unseen babble
DEV_WORDS, DEV_SECONDS = 2, 28.0  # of a prompt of dev: one word alone is a letter or a number
# One round of the test; every number of rounds has the same mix. English occurs twice, for recognisers of
# words, and so does Czech, which has most voices.
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


SIZES = {"quick": Size(240, 16, 2), "default": Size(2000, 32, 36), "full": Size(None, 64, 50)}


def build(
    data: Path,
    downloads: Path,
    size: str = "default",
    seed: int = 0,
    own: Iterable[Path] = (),
    say: Callable[[str], None] = print,
    lexicon: Lexicon | None = None,
) -> None:
    """Make `data`/{train,valid,dev,test_clean,test_seen,test_unseen}; sets with these settings are kept.

    Raises:
        FetchError: a recording cannot be had or the disk is too small.
    """
    wanted = SIZES[size]
    seconds = 5 * ((wanted.train or 4000) + 3 * wanted.valid) + 9 * len(ROUND) * 4 * wanted.rounds + 9000
    counts = {"train": wanted.train, "valid": wanted.valid, "dev": None}
    counts |= {f"test_{kind}": wanted.rounds for kind in ("clean", "seen", "unseen")}
    same = {"seed": seed, "made": VERSION, "lexicon": lexicon.fingerprint() if lexicon else None}
    keys = {name: {"count": count, **same} for name, count in counts.items()}
    missing = [name for name, key in keys.items() if not _is_made(data / name, key)]
    if not missing:
        say(f"{data}: {', '.join(keys)} are there already")
        return
    data.mkdir(parents=True, exist_ok=True)
    check_space(data, seconds * SAMPLE_RATE * 2)
    say("reading speech and noise")
    parts = divide(p for language in LANGUAGES for p in prompts(language, downloads, own))
    test = test_order(parts)
    tested = {prompt.key for _, prompt in test}
    short = [p for p in parts["train"] if 0.3 <= p.seconds <= LONGEST]
    long = [p for p in parts["train"] if p.seconds > LONGEST]
    train_noise, test_noise = seen_noises(long, downloads, own)
    spare = sorted((p for p in parts["voices"] if p.key not in tested), key=lambda p: draw(p.key))
    write_noises(data / "noise", "train", train_noise)
    for name in missing:
        if name == "train":
            utterances = training(_enough(short, wanted.train), wanted.train, seed)
        elif name == "valid":
            utterances = fixed(_valid(parts["valid"], wanted.valid), train_noise, VALID_SNR, [seed, 1])
        elif name == "dev":
            dev = _dev_utterances(spare, {same_text(p.text) for _, p in test})
            utterances = fixed(dev, train_noise, TEST_SNR, [seed, 3])
        else:
            kind = name.removeprefix("test_")
            noises = {"clean": None, "seen": test_noise, "unseen": None}[kind]
            if kind == "unseen":
                talk = [p for p in spare if p.language != "en"][:BABBLING]
                noises = unseen_noises(talk, downloads, own)
            chosen = test[: len(ROUND) * wanted.rounds]
            spoken = [_spoken(prompt, group) for group, prompt in chosen]
            utterances = fixed(spoken, noises, TEST_SNR, [seed, 2])
        count, hours = write_set(data / name, utterances, keys[name], lexicon)
        say(f"{data / name}: {count} utterances, {60 * hours:.1f} min")


def _is_made(folder: Path, key: dict) -> bool:
    try:
        return json.loads((folder / "made.json").read_text()) == key
    except (OSError, ValueError):
        return False


def test_order(parts: dict[str, list[Prompt]]) -> list[tuple[str, Prompt]]:
    """All test utterances `(group, prompt)` in one order; each size takes the first ones.

    Each text occurs once. Within a group and language, voices alternate.
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
            chosen[text] = _spoken(prompt, "valid")
    return list(chosen.values())


def _dev_utterances(items: list[Prompt], taken: set[str]) -> list[Spoken]:
    """English prompts without the texts in `taken`, each text once, short ones joined."""
    left = {}
    for prompt in items:
        text = same_text(prompt.text)
        if prompt.language == "en" and len(text.split()) >= DEV_WORDS and text not in {*taken, *left}:
            left[text] = (prompt, prompt.read())
    spoken = [(p, x) for p, x in left.values() if len(x) / SAMPLE_RATE <= DEV_SECONDS]
    pieces = joined(spoken, np.random.default_rng(30))
    return [
        Spoken(f"{speaker}-dev{i:02d}", speaker, text, "voices", x)
        for i, (speaker, text, x) in enumerate(pieces)
    ]


def _spoken(prompt: Prompt, group: str) -> Spoken:
    return Spoken(prompt.key, prompt.speaker, prompt.text, group, prompt.read())
