"""HuBERT, wav2vec 2.0 and WavLM in Hugging Face transformers' format: a local folder or a hub name."""

import re
from pathlib import Path

from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.rename import load_renamed, normalised_weight
from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

FAMILIES = {"hubert": "HuBERT", "wav2vec2": "wav2vec 2.0", "wavlm": "WavLM"}

# (transformers' name, ours)
RENAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.conv\.", r"convs.\1.conv."),
    (r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"convs.\1.norm."),
    (r"feature_projection\.layer_norm\.", "projection_norm."),
    (r"feature_projection\.projection\.", "projection."),
    (r"encoder\.pos_conv_embed\.conv\.", "positions."),
    (r"encoder\.layer_norm\.", "norm."),
    (r"encoder\.layers\.0\.attention\.rel_attn_embed\.", "relative.values."),
    (r"encoder\.layers\.(\d+)\.attention\.gru_rel_pos_linear\.", r"layers.\1.attention.gate."),
    (r"encoder\.layers\.(\d+)\.attention\.gru_rel_pos_const", r"layers.\1.attention.gate_scale"),
    (r"encoder\.layers\.(\d+)\.attention\.out_proj\.", r"layers.\1.attention.out."),
    (r"encoder\.layers\.(\d+)\.attention\.([qkv])_proj\.", r"layers.\1.attention.\2."),
    (r"encoder\.layers\.(\d+)\.layer_norm\.", r"layers.\1.norm1."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.", r"layers.\1.ffn1."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.", r"layers.\1.ffn2."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.norm2."),
)
PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
# the mask embedding serves pre-training; the norm's two factors are replaced by their product
IGNORE = r"masked_spec_embed|encoder\.pos_conv_embed\.conv\.(parametrizations\.|weight_[gv])"


def load(name: str) -> tuple[Wav2Vec2Network, dict]:
    """Read a model; returns the network and its facts (label, sample_rate, normalize_input).

    Raises:
        ValueError: nothing there, a broken or incomplete checkpoint, or a model of another family.
    """
    from transformers import AutoConfig

    local = Path(name).is_dir()
    _check_folder(name, local)
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"transformers:{name}: cannot read its config.json ({_first_line(error)})"
        ) from error
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"transformers:{name} is a {config.model_type!r} model; known: {', '.join(sorted(FAMILIES))}"
        )
    model = _read_weights(name, local)
    return from_model(model, _preprocessing(name, local), source=f"transformers:{name}")


def from_model(model, preprocessing: dict, source: str) -> tuple[Wav2Vec2Network, dict]:
    """Our network with the weights of a transformers HubertModel, Wav2Vec2Model or WavLMModel."""
    c = model.config
    for key, wanted in (
        ("hidden_act", "gelu"),
        ("feat_extract_activation", "gelu"),
        ("conv_pos_batch_norm", False),
        ("add_adapter", False),
    ):
        if getattr(c, key, wanted) != wanted:
            raise ValueError(f"{source}: {key}={getattr(c, key)!r} is not supported, only {wanted!r}")
    wavlm = c.model_type == "wavlm"
    network = Wav2Vec2Network(
        Wav2Vec2Config(
            conv_dims=tuple(c.conv_dim),
            conv_kernels=tuple(c.conv_kernel),
            conv_strides=tuple(c.conv_stride),
            conv_bias=c.conv_bias,
            conv_norm=c.feat_extract_norm,
            dim=c.hidden_size,
            heads=c.num_attention_heads,
            ffn_dim=c.intermediate_size,
            num_layers=c.num_hidden_layers,
            pos_kernel=c.num_conv_pos_embeddings,
            pos_groups=c.num_conv_pos_embedding_groups,
            pre_norm=c.do_stable_layer_norm,
            projection_norm=getattr(c, "feat_proj_layer_norm", True),
            eps=c.layer_norm_eps,
            relative_buckets=c.num_buckets if wavlm else 0,
            relative_distance=c.max_bucket_distance if wavlm else 0,
        )
    )
    state = dict(model.state_dict())
    state["encoder.pos_conv_embed.conv.weight"] = normalised_weight(model.encoder.pos_conv_embed.conv)
    load_renamed(network, state, RENAMES, IGNORE, source)
    return network, {
        "label": f"{FAMILIES[c.model_type]} {c.num_hidden_layers} x {c.hidden_size} (self-supervised)",
        "sample_rate": preprocessing.get("sampling_rate", SAMPLE_RATE),
        # the large layouts were trained on normalised input, where the folder does not say otherwise
        "normalize_input": preprocessing.get("do_normalize", c.feat_extract_norm == "layer"),
    }


def _check_folder(name: str, local: bool) -> None:
    if not local and name.startswith((".", "/", "~")):
        raise ValueError(f"transformers:{name}: there is no such folder")
    weights = (
        "model.safetensors",
        "pytorch_model.bin",
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
    )
    if local and not any((Path(name) / w).is_file() for w in weights):
        raise ValueError(f"transformers:{name}: the folder holds no weights; looked for {', '.join(weights)}")


def _read_weights(name: str, local: bool):
    """The library reads; what it would only warn about is an error here."""
    from transformers import AutoModel
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # its report of unused heads; what matters is checked below
    logging.disable_progress_bar()
    try:
        # in the type that they are stored in: the option that names another changed its name in 4.56
        model, report = AutoModel.from_pretrained(name, local_files_only=local, output_loading_info=True)
    except Exception as error:  # safetensors, pickle, zip, hub: each has its own
        raise ValueError(
            f"transformers:{name}: its weights cannot be read, the file is missing, truncated or of another "
            f"kind ({type(error).__name__}: {_first_line(error)})"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
    missing = [k for k in report["missing_keys"] if k != "masked_spec_embed"]  # pre-training's alone
    foreign = [k for k in report["unexpected_keys"] if re.search(r"(^|\.)(encoder|feature_\w+)\.", k)]
    foreign = [k for k in foreign if not re.search(r"\.weight_[gv]$", k)]
    resized = report.get("mismatched_keys") or []
    if missing or foreign or resized:
        raise ValueError(
            f"transformers:{name}: its weights do not fit its config.json "
            f"(model_type {model.config.model_type!r}): missing {sorted(missing)[:3]}, "
            f"unknown {sorted(foreign)[:3]}, of another shape {sorted(resized)[:3]}"
        )
    return model.float()


def _preprocessing(name: str, local: bool) -> dict:
    """What the folder's feature extractor does; nothing where a model has none."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache
    from transformers import AutoFeatureExtractor

    try:
        return AutoFeatureExtractor.from_pretrained(name, local_files_only=local).to_dict()
    except Exception as error:  # no such file, JSON, another kind: each has its own
        if local:
            found = any((Path(name) / file).exists() for file in PREPROCESSING)
        else:  # the hub may not have answered
            found = any(try_to_load_from_cache(name, file) is not _CACHED_NO_EXIST for file in PREPROCESSING)
        if found:
            raise ValueError(
                f"transformers:{name}: cannot read how its input is prepared ({' or '.join(PREPROCESSING)}: "
                f"{_first_line(error)})"
            ) from error
        return {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
