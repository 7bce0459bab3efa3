"""Flashlight's search against sums over all alignments, written out."""

import itertools
import math

import numpy as np
import pytest
import torch

from espnet_posinv.asr.ctc_head import greedy
from espnet_posinv.asr.ssl_ctc import SSLCTC, _search
from espnet_posinv.asr.units import BLANK, SPACE, Units
from espnet_posinv.kaldi.scp import DataError

pytest.importorskip("flashlight.lib.text", reason="flashlight-text has no wheel for this Python")

CHARACTERS = Units("characters", (BLANK, SPACE, "a", "b"))
LM = """\\data\\
ngram 1=6
ngram 2=5

\\1-grams:
-9.0\t<unk>
-1.0\t<s>\t-0.3
-1.1\t</s>
-0.5\tAB\t-0.2
-0.7\tBA\t-0.4
-0.9\tXYZ\t-0.1

\\2-grams:
-0.1\t<s> AB
-0.9\t<s> BA
-0.2\tAB </s>
-0.6\tAB BA
-0.3\tBA </s>

\\end\\
"""
BIGRAMS = {
    ("<s>", "AB"): -0.1,
    ("<s>", "BA"): -0.9,
    ("AB", "</s>"): -0.2,
    ("AB", "BA"): -0.6,
    ("BA", "</s>"): -0.3,
}
UNIGRAMS = {"AB": -0.5, "BA": -0.7, "</s>": -1.1}
BACKOFF = {"<s>": -0.3, "AB": -0.2, "BA": -0.4}


def emissions(seed, frames, outputs, sharp=1.0):
    generator = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(frames, outputs, generator=generator)).log_softmax(-1)


def scores_of_labellings(log_probs):
    """log P of every labelling, by summing over every path."""
    table = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        labels = tuple(k for k, _ in itertools.groupby(path) if k)
        score = sum(log_probs[t, k].item() for t, k in enumerate(path))
        table[labels] = np.logaddexp(table.get(labels, -math.inf), score)
    return table


def test_greedy_is_the_best_path():
    log_probs = torch.tensor([2, 2, 0, 2, 3, 3, 1, 0]).eq(torch.arange(4)[:, None]).T.float().log_softmax(-1)
    assert greedy(log_probs) == [2, 2, 3, 1]


@pytest.mark.parametrize("seed", range(6))
def test_without_language_model_the_most_probable_labelling(seed):
    log_probs = emissions(seed, 5, 4)
    table = scores_of_labellings(log_probs)
    best = max(table, key=table.get)
    found = _search(SSLCTC("m", beam_size=500), CHARACTERS)(log_probs)
    assert found == CHARACTERS.join(best)


def lm_score(words):
    """log10 of the model's probability, with its end."""
    total, last = 0.0, "<s>"
    for word in (*words, "</s>"):
        total += BIGRAMS.get((last, word), BACKOFF.get(last, 0.0) + UNIGRAMS[word])
        last = word
    return total


@pytest.mark.parametrize("seed", range(6))
def test_with_language_model_the_best_sum(tmp_path, seed):
    (tmp_path / "lm.arpa").write_text(LM)
    log_probs = emissions(seed, 7, 4, sharp=0.5)
    table = scores_of_labellings(log_probs)
    spellings = {"AB": (2, 3, 1), "BA": (3, 2, 1)}
    candidates = {}
    for n in range(3):
        for words in itertools.product(("AB", "BA"), repeat=n):
            labels = sum((spellings[w] for w in words), ())
            if labels in table:  # the frames suffice
                candidates[words] = table[labels] + 1.5 * lm_score(words) + 0.7 * n
    settings = SSLCTC("m", beam_size=2000, lm=f"{tmp_path}/lm.arpa", lm_weight=1.5, word_score=0.7)
    found = tuple(_search(settings, CHARACTERS)(log_probs).split())
    assert found == max(candidates, key=candidates.get)
    assert found  # else nothing is tested


def test_phones_have_a_language_model_of_phones(tmp_path):
    # The model forbids A B, which the frames favour a little
    (tmp_path / "lm.arpa").write_text(
        "\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n-9\t<unk>\n-9\t<s>\t0\n-1\t</s>\n"
        "-0.1\tA\t0\n-1\tB\t0\n\n\\2-grams:\n-8\tA B\n\n\\end\\\n"
    )
    units = Units("phones", (BLANK, "A", "B"))
    log_probs = torch.tensor([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.05, 0.45, 0.5]]).log()
    assert _search(SSLCTC("m", beam_size=50), units)(log_probs) == "A B"
    assert _search(SSLCTC("m", beam_size=50, lm=f"{tmp_path}/lm.arpa"), units)(log_probs) == "A A"


def test_words_of_the_language_model(tmp_path):
    (tmp_path / "lm.arpa").write_text(LM)
    log_probs = emissions(0, 7, 4)
    lm = f"{tmp_path}/lm.arpa"
    (tmp_path / "words").write_text("BA 1\n")
    assert set(
        _search(SSLCTC("m", beam_size=50, lm=lm, words=f"{tmp_path}/words"), CHARACTERS)(log_probs).split()
    ) <= {"BA"}
    with pytest.raises(DataError, match=r"lm.arpa: no word that can be written in the model's units"):
        _search(SSLCTC("m", beam_size=50, lm=lm), Units("characters", (BLANK, SPACE, "q")))
    (tmp_path / "lm.bin").write_bytes(b"mmap lm")
    with pytest.raises(DataError, match=r"lm.bin: no ARPA file, so words= must name a file"):
        _search(SSLCTC("m", beam_size=50, lm=f"{tmp_path}/lm.bin"), CHARACTERS)
    with pytest.raises(ValueError, match="beam_size above 1, not 1"):
        SSLCTC("m", lm=lm)
