"""Recogniser with a CTC head on a frozen SSL model, greedy or by beam search with an n-gram language model.

The search is torchaudio's ``ctc_decoder``: Flashlight with KenLM (package flashlight-text).
"""

import functools
import gzip
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from espnet_posinv.asr import ctc_head
from espnet_posinv.asr.units import BLANK, SPACE, Units
from espnet_posinv.files import file_hash
from espnet_posinv.kaldi.scp import DataError, entries
from espnet_posinv.ssl.marks import marks


@dataclass(frozen=True)
class SSLCTC:
    """Settings of a CTC recogniser; :meth:`transcribe` loads the model at its first call in a process.

    With `lm`, the search maximises ``log p_ctc(y) + lm_weight log10 p_lm(words) + word_score |words|`` over
    word sequences of the language model's vocabulary; if the units are phones, the language model is one of
    phones.

    Args:
        model: folder that `posinv train-ctc` made.
        upstream: the SSL model, if it is no longer where it was in training.
        beam_size: hypotheses of the search; 1: the most probable unit of each frame.
        lm: n-gram model in KenLM's formats, .arpa or binary.
        words: file with the words of a binary `lm` in its first column; not needed for an .arpa file.
        lm_weight, word_score: see above.
        device: "cpu" or "cuda", of the networks; the search runs on the CPU.
    """

    model: str
    upstream: str = ""
    beam_size: int = 1
    lm: str = ""
    words: str = ""
    lm_weight: float = 2.0
    word_score: float = -1.0
    device: str = "cpu"

    def __post_init__(self):
        if self.lm and self.beam_size < 2:
            raise ValueError(f"a language model needs a beam search: beam_size above 1, not {self.beam_size}")

    def settings(self) -> dict:
        """All that determines the output; files by hash, not by path."""
        recipe, units, _ = ctc_head.load(self.model)
        out = {"backend": "ssl_ctc", **asdict(self), "model": Path(self.model).name}
        out |= {"upstream": recipe.upstream, "encoder": recipe.encoder_label, "units": units.kind}
        out |= {
            "model_sha256": file_hash(Path(self.model) / "model.pt"),
            "encoder_sha256": recipe.encoder_sha256,
        }
        out["weights"] = marks(self.upstream or recipe.upstream)
        if units.kind == "phones":
            out["lexicon"] = units.lexicon  # also used to score the transcripts
        for key in ("lm", "words"):
            if path := getattr(self, key):
                out |= {key: Path(path).name, f"{key}_sha256": file_hash(path)}
        del out["device"]
        return out

    def transcribe(self, wav: np.ndarray) -> str:
        """Words, or phones between blanks, of one utterance (T,), float32 in [-1, 1], 16 kHz."""
        units, encoder, head, search = _load(self, os.getpid())
        device = next(head.parameters()).device
        with torch.no_grad():
            states, frames = ctc_head.hidden_states(
                encoder, torch.from_numpy(np.asarray(wav))[None].to(device)
            )
            log_probs = head(states, frames)[0].cpu()
        return search(log_probs) if search else units.join(ctc_head.greedy(log_probs))


@functools.cache
def _load(settings: SSLCTC, process: int):
    """Units, networks and search, loaded once in each process."""
    if settings.device == "cpu":
        torch.set_num_threads(1)  # one process a core
    recipe, units, weights = ctc_head.load(settings.model)
    head = ctc_head.with_weights(ctc_head.Head(**recipe.head).eval(), weights, settings.model)
    encoder = recipe.encoder(settings.upstream)
    search = _search(settings, units) if settings.beam_size > 1 else None
    return units, encoder.to(settings.device), head.to(settings.device), search


def _search(settings: SSLCTC, units: Units):
    """A function from log-probabilities (N, outputs) to text."""
    try:
        from torchaudio.models.decoder import ctc_decoder

        # Kept while the decoder reads them
        with tempfile.TemporaryDirectory() as scratch:
            options = _lexicon(settings, units, Path(scratch)) if settings.lm else {"lexicon": None}
            decoder = ctc_decoder(
                tokens=list(units.tokens),
                beam_size=settings.beam_size,
                beam_threshold=100,
                log_add=True,  # the probability of a text is the sum over its alignments
                blank_token=BLANK,
                sil_token=SPACE if SPACE in units.tokens else BLANK,
                unk_word="<unk>",
                **options,
            )
    except RuntimeError as error:
        raise ValueError(
            f"beam search: {error}"
            if "flashlight" not in str(error)
            else "beam search needs the package flashlight-text (Python below 3.13); or set beam_size=1"
        ) from None

    def search(log_probs: torch.Tensor) -> str:
        best = decoder(log_probs[None].float().contiguous())[0]
        if not best:
            return ""
        if options["lexicon"]:
            return " ".join(best[0].words)
        return units.join(number for number in best[0].tokens.tolist() if number)

    return search


def _lexicon(settings: SSLCTC, units: Units, scratch: Path) -> dict:
    """Options of ctc_decoder for the language model."""
    options = {"lm": settings.lm, "lm_weight": settings.lm_weight, "word_score": settings.word_score}
    if units.kind == "phones":
        # The dictionary's order is that of the units: a unit is a word of the language model
        (scratch / "units").write_text("".join(f"{token}\n" for token in units.tokens), encoding="utf-8")
        return {**options, "lexicon": None, "lm_dict": str(scratch / "units")}
    lines, words = [], sorted(set(_words(settings)))
    for word in words:
        if spelling := units.spelling(word.lower()):
            lines.append(f"{word} {' '.join(spelling)}\n")
    if not lines:
        raise DataError(f"{settings.words or settings.lm}: no word that can be written in the model's units")
    if lacking := len(words) - len(lines):
        warnings.warn(
            f"{settings.words or settings.lm}: {lacking} of {len(words)} words cannot be written in "
            "the model's units and will never be recognised",
            stacklevel=2,
        )
    (scratch / "lexicon").write_text("".join(lines), encoding="utf-8")
    return {**options, "lexicon": str(scratch / "lexicon")}


def _words(settings: SSLCTC) -> Iterator[str]:
    """Vocabulary of the language model: of the file of words, or the 1-grams of an ARPA file."""
    if settings.words:
        yield from (key for _, key, _ in entries(settings.words) if key)
        return
    opened = gzip.open if settings.lm.endswith(".gz") else open
    with opened(settings.lm, "rb") as file:
        if not file.read(64).lstrip().startswith(b"\\data\\"):
            raise DataError(f"{settings.lm}: no ARPA file, so words= must name a file with its words")
        file.seek(0)
        for line in file:
            if line.strip() == b"\\1-grams:":
                break
        for line in file:
            fields = line.split()
            if not fields or line.startswith(b"\\"):
                return
            word = fields[1].decode()
            if not word.startswith("<"):
                yield word


RECOGNISER = SSLCTC
