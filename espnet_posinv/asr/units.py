"""Output units of a CTC recogniser: characters, sentencepiece pieces or phones. Unit 0 is CTC's blank."""

import functools
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.text.lexicon import GIVEN, phones_of, pronouncer
from espnet_posinv.text.normalize import spell

BLANK, SPACE = "<blank>", "|"
KINDS = ("characters", "pieces", "phones")


@dataclass(frozen=True)
class Units:
    """A recogniser's units and the rules that turn a transcript into them.

    Args:
        kind: one of `KINDS`.
        tokens: unit of each output; the first is the blank.
        language: of the text normalisation that comes first.
        lexicon: for phones, see :func:`~espnet_posinv.text.lexicon.pronouncer`; not needed for recognition.
        pieces: for pieces, the sentencepiece model.
    """

    kind: str
    tokens: tuple[str, ...]
    language: str = "en"
    lexicon: str = ""
    pieces: bytes = b""

    def split(self, text: str) -> list[str]:
        """Units of a transcript, including units that the recogniser does not have.

        Raises:
            DataError: phones of a word that the lexicon lacks.
        """
        if self.kind == "phones" and self.lexicon == GIVEN:
            return text.split()
        text = spell(text, self.language)
        if self.kind == "phones":
            return phones_of(text, pronouncer(self.lexicon))
        if self.kind == "pieces":
            return _processor(self.pieces).encode(text, out_type=str)
        return [*text.replace(" ", SPACE), SPACE] if text else []  # each word ends in one, the last too

    def encode(self, text: str) -> list[int] | None:
        """Numbers of the units of a transcript; None if it has a unit that is not among the tokens."""
        index = {token: number for number, token in enumerate(self.tokens)}
        numbers = [index.get(unit) for unit in self.split(text)]
        return None if None in numbers else numbers

    def join(self, numbers: Iterable[int]) -> str:
        """Text of a sequence of units without blanks; phones are separated by blank space."""
        units = [self.tokens[number] for number in numbers]
        if self.kind == "phones":
            return " ".join(units)
        text = "".join(units)
        return " ".join(text.replace("▁" if self.kind == "pieces" else SPACE, " ").split())

    def spelling(self, word: str) -> list[str] | None:
        """Units of one word within a text; None if it cannot be written in them."""
        units = self.split(word) if self.kind != "phones" else list(pronouncer(self.lexicon)(word) or [])
        return units if units and set(units) <= set(self.tokens) else None


def learn(
    kind: str, texts: Iterable[str], *, language: str = "en", lexicon: str = "", vocabulary: int = 0
) -> Units:
    """Units of training transcripts.

    Args:
        kind: one of `KINDS`.
        lexicon: needed for phones.
        vocabulary: number of sentencepiece units; needed for pieces.

    Raises:
        DataError: no text, no lexicon or vocabulary where it is needed, words without pronunciation.
    """
    if kind not in KINDS:
        raise DataError(f"units {kind!r}: there are {', '.join(KINDS)}")
    if kind == "phones" and not lexicon:
        raise DataError("phones need a lexicon: a file of lines WORD PHONE PHONE ..., g2p_en, or given")
    lines = [line for line in (text if lexicon == GIVEN else spell(text, language) for text in texts) if line]
    if not lines:
        raise DataError("the training transcripts hold no word")
    if kind == "pieces":
        return _learn_pieces(lines, language, vocabulary)
    if kind == "phones":  # all words at once, so that an error names all missing ones
        phones = phones_of(" ".join(lines), pronouncer(lexicon))
        return Units(kind, (BLANK, *sorted(set(phones))), language, lexicon)
    return Units(kind, (BLANK, *sorted({SPACE, *"".join(lines)} - {" "})), language)


def _learn_pieces(lines: list[str], language: str, vocabulary: int) -> Units:
    import sentencepiece

    if vocabulary < 2:
        raise DataError("pieces need their number, like 500 (--vocabulary)")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocabulary + 1,  # <unk> is removed below
            model_type="unigram",
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(f"sentencepiece, {vocabulary} pieces: {' '.join(str(error).split())}") from None
    processor = _processor(model.getvalue())
    tokens = [processor.id_to_piece(k) for k in range(processor.get_piece_size())]
    kept = [token for token in tokens if token != processor.id_to_piece(processor.unk_id())]
    return Units("pieces", (BLANK, *kept), language, pieces=model.getvalue())


@functools.lru_cache(maxsize=4)
def _processor(model: bytes):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def save(units: Units, folder: Path) -> dict:
    """Plain values for a configuration; the sentencepiece model goes into a file of `folder`."""
    if units.pieces:
        (folder / "pieces.model").write_bytes(units.pieces)
    return {
        "kind": units.kind,
        "tokens": list(units.tokens),
        "language": units.language,
        "lexicon": units.lexicon,
    }


def load(values: dict, folder: Path) -> Units:
    """The inverse of :func:`save`."""
    pieces = (folder / "pieces.model").read_bytes() if values["kind"] == "pieces" else b""
    return Units(**{**values, "tokens": tuple(values["tokens"])}, pieces=pieces)
