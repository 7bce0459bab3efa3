"""Which voices, sentences and noises are for training and which are held out for the tests.

SSL pretraining, training of recognisers and fine-tuning all use this division. A prompt belongs to

- ``voices`` if its voice is held out;
- ``test`` if its sentence is held out, in every voice;
- ``valid`` if it is for validation;
- ``train`` otherwise.

The part of a sentence depends on its letters only, so it is the same in every size of the corpus.
"""

import hashlib
import re
from collections.abc import Iterable

from espnet_posinv.corpora.prompts import Prompt

# Asterisk's English and Spanish voice, one of the two Dutch ones, and every second Czech character.
HELD_OUT = frozenset(
    (
        *("en-allison", "es-allison", "nl-big"),
        *("cs-statue", "cs-parrot", "cs-linuxer1", "cs-robodog", "cs-snail", "cs-pizla", "cs-crab"),
        *("cs-viking3", "cs-viking5", "cs-viking8", "cs-lightgrey_l", "cs-lightgrey_vl", "cs-darkgrey_disk"),
    )
)
PARTS = ("train", "valid", "test", "voices")
TEST_SHARE, VALID_SHARE = 0.16, 0.04  # of the sentences of the other voices


def same_text(text: str) -> str:
    """A text in lower case, letters and digits only: equal for prompts with the same words."""
    return " ".join(re.findall(r"\w+", text.lower()))


def part(prompt: Prompt) -> str:
    """The one of `PARTS` that a prompt belongs to."""
    if prompt.speaker in HELD_OUT:
        return "voices"
    place = draw(f"{prompt.language} {same_text(prompt.text)}")
    return "test" if place < TEST_SHARE else "valid" if place < TEST_SHARE + VALID_SHARE else "train"


def divide(items: Iterable[Prompt]) -> dict[str, list[Prompt]]:
    """Prompts by part, in their order; of held-out voices only sentences that do not occur in training."""
    parts = {name: [] for name in PARTS}
    for prompt in items:
        parts[part(prompt)].append(prompt)
    seen = {(p.language, same_text(p.text)) for p in parts["train"] + parts["valid"]}
    parts["voices"] = [p for p in parts["voices"] if (p.language, same_text(p.text)) not in seen]
    return parts


def draw(text: str) -> float:
    """A number in [0, 1) that depends on `text` alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def sides(recordings: list) -> tuple[list, list]:
    """Recordings of a noise for training and for its test, which gets every third one."""
    return [x for i, x in enumerate(recordings) if i % 3 != 2], recordings[2::3]
