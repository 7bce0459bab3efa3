"""Whisper (arXiv 2212.04356) by faster-whisper, from a local folder, on one CPU thread."""

import functools
import os
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from espnet_posinv.asr.decode import CutOff
from espnet_posinv.files import file_hash
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.marks import marks

FRAMES_PER_SECOND = 100
MARGIN = 2.0  # seconds that stay empty at the end of a short window
FILES = ("config.json", "model.bin", "tokenizer.json")
# The published decoding (section 4.5): from 0 up, until the text is neither repetitive nor improbable
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COMPRESSION, LOG_PROBABILITY, NO_SPEECH = 2.4, -1.0, 0.6
POSITIONS = 448  # of every Whisper decoder: tokens of a window, the prompt of up to 4 included
ROOM = 2 * (POSITIONS - 4)  # the length to ask for: CTranslate2 stops at half of it
SEED = 0  # of what is drawn at temperatures above 0


@dataclass(frozen=True)
class Whisper:
    """Settings of a Whisper recogniser; :meth:`transcribe` loads the model at its first call in a process.

    Whisper's encoder always processes 30 s, of which an utterance of 3 s fills a tenth. It accepts a shorter
    window too, in proportionally less time; `window` is used for utterances that end `MARGIN` seconds or
    more before its end. With windows much shorter than 15 s the decoder inserts words.

    Args:
        model: folder with config.json, model.bin, tokenizer.json and a vocabulary (CTranslate2's format).
        language: code of the language spoken, as in Whisper's tokens; ignored by English-only models.
        beam_size: 1 is greedy decoding.
        window: seconds that the encoder processes of an utterance that fits, at most 30.
        compute_type: arithmetic of CTranslate2: float32; int8 is faster, but its words depend on the
            processor.
    """

    model: str
    language: str = "en"
    beam_size: int = 1
    window: float = 30.0
    compute_type: str = "float32"

    def __post_init__(self):
        if not MARGIN < self.window <= 30:
            raise ValueError(f"window must be above {MARGIN:g} and at most 30 seconds, not {self.window:g}")
        missing = [name for name in FILES if not (Path(self.model) / name).is_file()]
        if missing:
            raise ValueError(
                f"{self.model} is no Whisper folder of faster-whisper: {', '.join(missing)} missing"
            )

    def settings(self) -> dict:
        """All that determines the output; the model by its hash, not its path."""
        digest = file_hash(Path(self.model) / "model.bin")
        name = Path(self.model).name
        return {
            "backend": "whisper",
            **asdict(self),
            "model": name,
            "model_sha256": digest,
            "weights": marks(self.model),
            "decoding": "temperature fallback",
        }

    def transcribe(self, wav: np.ndarray) -> str:
        """Text of one utterance (T,), float32, 16 kHz, on one line with punctuation and case.

        The published decoding, without conditioning on earlier windows: a text that repeats itself (as in
        babble noise) or is improbable is drawn again at higher temperatures, with random numbers that do not
        depend on earlier utterances.

        Warns:
            CutOff: the decoder reached its limit of tokens.
        """
        seconds = len(wav) / SAMPLE_RATE
        network = _load(self, os.getpid())
        network.frames = int(FRAMES_PER_SECOND * (self.window if seconds <= self.window - MARGIN else 30))
        segments, _ = network.transcribe(
            np.asarray(wav, dtype=np.float32),
            language=self.language,
            beam_size=self.beam_size,
            temperature=TEMPERATURES,
            compression_ratio_threshold=COMPRESSION,
            log_prob_threshold=LOG_PROBABILITY,
            no_speech_threshold=NO_SPEECH,
            condition_on_previous_text=False,
            max_new_tokens=ROOM - 4,
            without_timestamps=seconds <= 30,  # what is longer is cut where words end
        )
        return " ".join(" ".join(segment.text for segment in segments).split())


@functools.cache
def _load(settings: Whisper, process: int):
    """The model, loaded once in each process: a model inherited through a fork has no threads and hangs."""
    import ctranslate2
    from faster_whisper import WhisperModel

    options = {"device": "cpu", "compute_type": settings.compute_type}

    class Network(WhisperModel):
        """faster-whisper with windows of any length, reproducible draws and a warning of cut-off text."""

        frames = 3000

        def encode(self, features):
            """Encode without the padding to 30 s."""
            return super().encode(features[..., : self.frames])

        def generate_with_fallback(self, encoder_output, prompt, tokenizer, options):
            """Temperature 0, and where that fails all temperatures with new random numbers."""
            first = replace(options, temperatures=options.temperatures[:1])
            found = super().generate_with_fallback(encoder_output, prompt, tokenizer, first)
            result, log_probability, _, compression = found
            improbable = log_probability < LOG_PROBABILITY and result.no_speech_prob <= NO_SPEECH
            if len(options.temperatures) > 1 and (compression > COMPRESSION or improbable):
                found = self._draw(encoder_output, prompt, tokenizer, options)
            limit = (len(prompt) + (options.max_new_tokens or ROOM)) // 2
            if (tokens := len(found[0].sequences_ids[0])) >= limit:
                warnings.warn(
                    f"cut off at {tokens} tokens, all that the model has room for", CutOff, stacklevel=1
                )
            return found

        def _draw(self, *args):
            # CTranslate2 seeds the generator of a thread when the thread first draws: only a new model's
            # draws do not depend on the utterances before.
            kept, self.model = self.model, _new_model()
            try:
                return super().generate_with_fallback(*args)
            finally:
                self.model = kept

    def _new_model():
        ctranslate2.set_random_seed(SEED)
        return ctranslate2.models.Whisper(settings.model, inter_threads=1, intra_threads=1, **options)

    network = Network(settings.model, cpu_threads=1, local_files_only=True, **options)
    network.max_length = ROOM
    return network


RECOGNISER = Whisper
