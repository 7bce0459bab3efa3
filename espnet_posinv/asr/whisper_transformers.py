"""Whisper (arXiv 2212.04356) by transformers, from a folder or from the model hub by name."""

import functools
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from espnet_posinv.asr.decode import CutOff
from espnet_posinv.asr.whisper import LOG_PROBABILITY, NO_SPEECH, SEED, TEMPERATURES
from espnet_posinv.files import file_hash
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.marks import marks

PROMPT = 4  # tokens before the text, at most
COMPRESSION = 1.35  # transformers compresses tokens, not text: its value for the published 2.4


@dataclass(frozen=True)
class WhisperTransformers:
    """Settings of a Whisper recogniser; :meth:`transcribe` loads the model at its first call in a process."""

    model: str  # folder in transformers' format, or a name like openai/whisper-large-v3
    language: str = "en"  # code of the language spoken; ignored by English-only models
    beam_size: int = 1  # 1 is greedy decoding
    device: str = "cpu"  # "cpu" or "cuda"

    def settings(self) -> dict:
        """All that determines the output; a folder's weights by hash, not by path."""
        out = {"backend": "whisper_transformers", **asdict(self), "decoding": "temperature fallback"}
        del out["device"]
        out["weights"] = marks(self.model)
        if Path(self.model).is_dir():
            weights = sorted([*Path(self.model).glob("*.safetensors"), *Path(self.model).glob("*.bin")])
            if not weights:
                raise ValueError(f"{self.model}: no weights (.safetensors or .bin) in this folder")
            out |= {"model": Path(self.model).name, "model_sha256": [file_hash(path) for path in weights]}
        return out

    def transcribe(self, wav: np.ndarray) -> str:
        """Text of one utterance (T,), float32 in [-1, 1], 16 kHz, at most 30 s; decoding as in `whisper.py`.

        Raises:
            ValueError: a longer one.

        Warns:
            CutOff: the decoder reached its limit of tokens.
        """
        import torch

        seconds = len(wav) / SAMPLE_RATE
        if seconds > 30:
            raise ValueError(f"{seconds:.1f} s, but Whisper takes 30 s at a time; cut the recording")
        network, extractor, tokenizer = _load(self, os.getpid())
        features = extractor(wav, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        multilingual = getattr(network.generation_config, "is_multilingual", True)
        several = {"language": self.language, "task": "transcribe"} if multilingual else {}
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(SEED)  # an utterance's draws do not depend on those before it
            tokens = network.generate(
                features.to(network.device),
                num_beams=self.beam_size,
                return_timestamps=False,
                temperature=TEMPERATURES,
                compression_ratio_threshold=COMPRESSION,
                logprob_threshold=LOG_PROBABILITY,
                no_speech_threshold=NO_SPEECH,
                max_new_tokens=network.config.max_target_positions - PROMPT,
                **several,
            )
        if (count := tokens.shape[-1]) >= network.config.max_target_positions - PROMPT:
            warnings.warn(f"cut off at {count} tokens, all that the model has room for", CutOff, stacklevel=1)
        return " ".join(tokenizer.decode(tokens[0], skip_special_tokens=True).split())


@functools.cache
def _load(settings: WhisperTransformers, process: int):
    """Model, feature extractor and tokenizer, loaded once in each process."""
    import torch
    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

    if settings.device == "cpu":
        torch.set_num_threads(1)  # one process a core
    try:
        network, report = WhisperForConditionalGeneration.from_pretrained(
            settings.model, output_loading_info=True
        )
        if wrong := sorted(map(str, {*report["missing_keys"], *report["mismatched_keys"]})):
            raise ValueError(f"{settings.model}: its weights do not fit its config.json: {wrong[:3]}")
        extractor = AutoFeatureExtractor.from_pretrained(settings.model)
        tokenizer = AutoTokenizer.from_pretrained(settings.model)
    except OSError as error:
        raise ValueError(f"{settings.model}: {str(error).splitlines()[0]}") from None
    return network.eval().to(settings.device), extractor, tokenizer


RECOGNISER = WhisperTransformers
