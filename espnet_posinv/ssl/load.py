"""Encoders by name: which library's format, and which model."""

import importlib

from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.encoder import SSLEncoder

LOADERS = ("transformers", "torchaudio", "s3prl", "whisper")


def load_encoder(
    upstream: str, *, sample_rate: int = SAMPLE_RATE, normalize_input: bool | None = None, **options
):
    """Load a frozen encoder.

    Args:
        upstream: ``"transformers:FOLDER_OR_HUB_NAME"`` (HuBERT, wav2vec 2.0, WavLM),
            ``"torchaudio:BUNDLE_OR_STATE_DICT_FILE"``, ``"s3prl:UPSTREAM"`` or
            ``"s3prl:UPSTREAM,CHECKPOINT"``,
            ``"whisper:FOLDER"`` (CTranslate2's model.bin, as faster-whisper uses; encoder only, weakly
            supervised, not self-supervised).
        sample_rate: of the waveforms that it will be given, Hz.
        normalize_input: None takes what the model was trained with.
        **options: layers, weights, dtype, recompute of :class:`SSLEncoder`.

    Raises:
        ValueError: unknown loader, a model that is missing, broken or of another architecture, or a sample
            rate that is not the model's.
    """
    loader, _, name = upstream.partition(":")
    if loader not in LOADERS or not name:
        raise ValueError(f"upstream {upstream!r}: write LOADER:NAME with LOADER one of {', '.join(LOADERS)}")
    try:
        network, facts = importlib.import_module(f"espnet_posinv.ssl.{loader}").load(name)
    except ModuleNotFoundError as error:
        raise ValueError(f"upstream {upstream}: pip install {error.name}, which it needs") from error
    broken = [name for name, weight in network.state_dict().items() if not weight.isfinite().all()]
    if broken:
        raise ValueError(f"{upstream}: {', '.join(broken[:5])} hold NaN or infinity: a damaged checkpoint")
    if sample_rate != facts["sample_rate"]:
        raise ValueError(
            f"{upstream} was trained at {facts['sample_rate']} Hz, but the waveforms have {sample_rate} Hz: "
            f"resample them to {facts['sample_rate']} Hz"
        )
    if normalize_input is None:
        normalize_input = facts["normalize_input"]
    return SSLEncoder(
        network, label=facts["label"], sample_rate=sample_rate, normalize_input=normalize_input, **options
    )
