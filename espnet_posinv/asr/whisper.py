"""Whisper (arXiv 2212.04356) by faster-whisper, from a local folder, on one CPU thread."""

import functools
import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.sample_rate import SAMPLE_RATE

FRAMES_PER_SECOND = 100
MARGIN = 2.0  # seconds that stay empty at the end of a short window
FILES = ("config.json", "model.bin", "tokenizer.json")


@dataclass(frozen=True)
class Whisper:
    """Settings of a Whisper recogniser; :meth:`transcribe` loads the model at its first call in a process.

    The encoder of Whisper always sees 30 s, of which a prompt of 3 s fills a tenth. It takes a shorter
    window too, in proportionally less time; `window` sets it for utterances that end `MARGIN` seconds or
    more before its end. Much shorter windows than 15 s make the decoder insert words.

    Args:
        model: folder with config.json, model.bin, tokenizer.json and a vocabulary (CTranslate2's format).
        language: code of the language spoken, as in Whisper's tokens; ignored by English-only models.
        beam_size: 1 is greedy decoding.
        window: seconds the encoder sees of an utterance that fits, at most 30.
        compute_type: arithmetic of CTranslate2: int8, float32, ...
    """

    model: str
    language: str = "en"
    beam_size: int = 1
    window: float = 30.0
    compute_type: str = "int8"

    def __post_init__(self):
        if not MARGIN < self.window <= 30:
            raise ValueError(f"window must be above {MARGIN:g} and at most 30 seconds, not {self.window:g}")
        missing = [name for name in FILES if not (Path(self.model) / name).is_file()]
        if missing:
            raise ValueError(
                f"{self.model} is no Whisper folder of faster-whisper: {', '.join(missing)} missing"
            )

    def settings(self) -> dict:
        """All that determines the output, to be kept beside it; the model by its hash, not its place."""
        with open(Path(self.model) / "model.bin", "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = Path(self.model).name
        return {"backend": "whisper", **asdict(self), "model": name, "model_sha256": digest}

    def transcribe(self, wav: np.ndarray) -> str:
        """Recognise one utterance.

        Temperature 0 without fallback, no conditioning on earlier windows, no timestamps. In strong babble
        Whisper repeats itself without end; hence at most 6 tokens a second + 8 and no repeated trigram.

        Args:
            wav: (T,) float32 in [-1, 1], 16 kHz.

        Returns:
            The text on one line, as Whisper writes it: with punctuation and case.
        """
        seconds = len(wav) / SAMPLE_RATE
        network = _load(self, os.getpid())
        network.frames = int(FRAMES_PER_SECOND * (self.window if seconds <= self.window - MARGIN else 30))
        segments, _ = network.transcribe(
            np.asarray(wav, dtype=np.float32),
            language=self.language,
            beam_size=self.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            max_new_tokens=int(6 * min(seconds, 30)) + 8,
            no_repeat_ngram_size=3,
        )
        return " ".join(" ".join(segment.text for segment in segments).split())


@functools.cache
def _load(settings: Whisper, process: int):
    """The model, loaded once in each process: one inherited by a fork has lost its threads and hangs."""
    from faster_whisper import WhisperModel

    class ShortWindow(WhisperModel):
        """faster-whisper pads every utterance to 30 s; the encoder need not see all of that padding."""

        frames = 3000

        def encode(self, features):
            return super().encode(features[..., : self.frames])

    return ShortWindow(
        settings.model,
        device="cpu",
        compute_type=settings.compute_type,
        cpu_threads=1,
        local_files_only=True,
    )


RECOGNISER = Whisper
