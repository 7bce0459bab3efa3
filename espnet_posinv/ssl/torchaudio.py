"""HuBERT, wav2vec 2.0 and WavLM in torchaudio's format: a bundle, or a factory and a state dict file."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import nn

from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import transformers
from espnet_posinv.ssl.rename import load_renamed, normalised_weight
from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

# torchaudio's names are transformers' with other containers around them; WavLM's projections are fused
RENAMES = (
    (r"encoder\.feature_projection\.", "feature_projection."),
    (r"encoder\.transformer\.", "encoder."),
    (r"(encoder\.layers\.\d+\.attention\.)attention\.in_proj_", r"\1qkv."),
    (r"(encoder\.layers\.\d+\.attention\.)attention\.out_proj\.", r"\1out_proj."),
    *transformers.RENAMES,
    (r"encoder\.layers\.(\d+)\.attention\.qkv\.", r"layers.\1.attention.qkv."),
)
IGNORE = r"aux\.|encoder\.transformer\.pos_conv_embed\.conv\.(parametrizations\.|weight_[gv])"


def load(name: str) -> tuple[Wav2Vec2Network, dict]:
    """Read a model: ``BUNDLE`` (e.g. HUBERT_BASE, fetched by torchaudio) or ``FACTORY,FILE``.

    FACTORY is a function of torchaudio.models without arguments (hubert_base, wav2vec2_large,
    wavlm_base, ...), FILE the state dict of what it makes.

    Raises:
        ValueError: unknown bundle or factory, missing or broken file, weights of another architecture.
    """
    maker, _, path = name.partition(",")
    if path:
        model = _read(maker, Path(path), f"torchaudio:{name}")
        normalize = None
    else:
        model, normalize = _fetch(maker)
    return from_model(model, f"torchaudio:{name}", maker, normalize)


def from_model(model, source: str, label: str, normalize_input: bool | None = None):
    """Our network with the weights of a torchaudio Wav2Vec2Model, and its facts."""
    convs = [layer.conv for layer in model.feature_extractor.conv_layers]
    norm = model.feature_extractor.conv_layers[0].layer_norm
    transformer = model.encoder.transformer
    attention = transformer.layers[0].attention
    positions = transformer.pos_conv_embed.conv
    network = Wav2Vec2Network(
        Wav2Vec2Config(
            conv_dims=tuple(c.out_channels for c in convs),
            conv_kernels=tuple(c.kernel_size[0] for c in convs),
            conv_strides=tuple(c.stride[0] for c in convs),
            conv_bias=convs[0].bias is not None,
            conv_norm="group" if isinstance(norm, nn.GroupNorm) else "layer",
            dim=positions.out_channels,
            heads=attention.num_heads,
            ffn_dim=transformer.layers[0].feed_forward.intermediate_dense.out_features,
            num_layers=len(transformer.layers),
            pos_kernel=positions.kernel_size[0],
            pos_groups=positions.groups,
            pre_norm=transformer.layers[0].layer_norm_first,
            eps=transformer.layer_norm.eps,
            relative_buckets=getattr(attention, "num_buckets", 0),
            relative_distance=getattr(attention, "max_distance", 0),
        )
    )
    state = dict(model.state_dict())
    state["encoder.transformer.pos_conv_embed.conv.weight"] = normalised_weight(positions)
    load_renamed(network, state, RENAMES, IGNORE, source)
    return network, {
        "label": f"{label} {network.num_layers} x {positions.out_channels} (self-supervised)",
        "sample_rate": SAMPLE_RATE,
        "normalize_input": isinstance(norm, nn.LayerNorm) if normalize_input is None else normalize_input,
    }


def _read(factory: str, path: Path, source: str):
    import torchaudio.models

    make = getattr(torchaudio.models, factory, None)
    if make is None:
        raise ValueError(f"{source}: torchaudio.models has no {factory} (hubert_base, wav2vec2_base, ...)")
    if not path.is_file():
        raise ValueError(f"{source}: there is no file {path}")
    model = make().eval()
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, pickle.UnpicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"{source}: {path} is truncated or no state dict of {factory}: {error}") from error
    return model


def _fetch(bundle: str):
    import torchaudio.pipelines

    found: Any = getattr(torchaudio.pipelines, bundle, None)
    if not hasattr(found, "get_model"):
        raise ValueError(
            f"torchaudio:{bundle}: no such bundle in torchaudio.pipelines (HUBERT_BASE, WAVLM_BASE, ...); "
            "for a file write FACTORY,FILE, e.g. hubert_base,hubert.pt"
        )
    try:
        model = found.get_model()
    except OSError as error:
        raise ValueError(f"torchaudio:{bundle}: its weights could not be fetched: {error}") from error
    # bundles that normalise their input wrap the model
    return getattr(model, "model", model).eval(), found._normalize_waveform
