"""HuBERT, wav2vec 2.0 and WavLM in s3prl's format, through the fork espnet-s3prl (optional extra).

s3prl itself cuts the gradient off (its Hugging Face wrappers go through numpy, its own ones run the front
end without a graph) and repeats the last frame in its Featurizer.  Only its weights are used here.
"""

import importlib
import pickle
from pathlib import Path

from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import transformers
from espnet_posinv.ssl.rename import load_renamed, normalised_weight
from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

FOLDERS = ("hubert", "wav2vec2", "wavlm")

# (fairseq's names, ours)
RENAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"convs.\1.conv."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(1\.)?", r"convs.\1.norm."),
    (r"layer_norm\.", "projection_norm."),
    (r"post_extract_proj\.", "projection."),
    (r"encoder\.pos_conv\.0\.", "positions."),
    (r"encoder\.layer_norm\.", "norm."),
    (r"encoder\.layers\.0\.self_attn\.relative_attention_bias\.", "relative.values."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_linear\.", r"layers.\1.attention.gate."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_a", r"layers.\1.attention.gate_scale"),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"layers.\1.attention.out."),
    (r"encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj\.", r"layers.\1.attention.\2."),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"layers.\1.norm1."),
    (r"encoder\.layers\.(\d+)\.fc([12])\.", r"layers.\1.ffn\2."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.norm2."),
)
# what pre-training alone needs: mask, quantiser, targets
IGNORE = (
    r"mask_emb|label_embs_concat|final_proj|project_q|project_inp|quantizer|input_quantizer|target_glu"
    r"|encoder\.pos_conv\.0\.(weight_[gv]|parametrizations\.)"
)


def load(name: str) -> tuple[Wav2Vec2Network, dict]:
    """Read a model: ``UPSTREAM`` (e.g. hubert_base, fetched by s3prl) or ``UPSTREAM,CHECKPOINT``.

    UPSTREAM is a name of s3prl's hub, e.g. hubert_local, wav2vec2_local, wavlm_local for a converted .pt,
    hf_hubert_custom, hf_wav2vec2_custom for a Hugging Face folder.

    Raises:
        ValueError: s3prl missing, unknown upstream, missing or broken checkpoint, another architecture.
    """
    upstream, _, checkpoint = name.partition(",")
    if checkpoint and not Path(checkpoint).exists() and not checkpoint.startswith("http"):
        raise ValueError(f"s3prl:{name}: there is no {checkpoint}")
    if upstream.startswith("hf_"):
        # s3prl would load any folder as this family, filling what does not fit with random numbers
        network, facts = transformers.load(checkpoint)
        wanted = transformers.FAMILIES.get(upstream.split("_")[1])
        if wanted is None or not facts["label"].startswith(wanted):
            raise ValueError(f"s3prl:{name}: {checkpoint} holds {facts['label']}, not a model for {upstream}")
        return network, facts
    make = _find(upstream)
    try:
        expert = make(ckpt=checkpoint) if checkpoint else make()
    except (
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        AssertionError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(
            f"s3prl:{name}: {checkpoint or 'the fetched checkpoint'} is missing, truncated or no checkpoint "
            f"of {upstream} ({type(error).__name__}: {error})"
        ) from error
    for owner, key in ((expert, "wav_normalize"), (expert, "task_cfg"), (expert, "cfg")):
        if hasattr(owner, key):  # wav2vec2, hubert, wavlm keep it in three places
            found = getattr(owner, key)
            normalize = found if isinstance(found, bool) else bool(found.normalize)
            break
    else:
        raise ValueError(f"s3prl:{name}: {upstream} does not say whether it wants normalised input")
    return from_model(expert.model, f"s3prl:{name}", upstream, normalize)


def from_model(model, source: str, label: str, normalize_input: bool) -> tuple[Wav2Vec2Network, dict]:
    """Our network with the weights of s3prl's HubertModel, Wav2Vec2Model or WavLM, and its facts."""
    convs = [layer[0] for layer in model.feature_extractor.conv_layers]
    positions = model.encoder.pos_conv[0]
    layer = model.encoder.layers[0]
    activation = getattr(layer.activation_fn, "__name__", repr(layer.activation_fn))
    if "gelu" not in activation.lower():
        raise ValueError(f"{source}: activation_fn {activation} is not supported, only gelu")
    state = dict(model.state_dict())
    relative = "encoder.layers.0.self_attn.relative_attention_bias.weight" in state
    network = Wav2Vec2Network(
        Wav2Vec2Config(
            conv_dims=tuple(c.out_channels for c in convs),
            conv_kernels=tuple(c.kernel_size[0] for c in convs),
            conv_strides=tuple(c.stride[0] for c in convs),
            conv_bias=convs[0].bias is not None,
            conv_norm="layer" if "feature_extractor.conv_layers.0.2.1.weight" in state else "group",
            dim=positions.out_channels,
            heads=layer.self_attn.num_heads,
            ffn_dim=layer.fc1.out_features,
            num_layers=len(model.encoder.layers),
            pos_kernel=positions.kernel_size[0],
            pos_groups=positions.groups,
            pre_norm=model.encoder.layer_norm_first,
            eps=model.encoder.layer_norm.eps,
            relative_buckets=layer.self_attn.num_buckets if relative else 0,
            relative_distance=layer.self_attn.max_distance if relative else 0,
        )
    )
    state["encoder.pos_conv.0.weight"] = normalised_weight(positions)
    load_renamed(network, state, RENAMES, IGNORE, source)
    return network, {
        "label": f"{label} {network.num_layers} x {positions.out_channels} (self-supervised)",
        "sample_rate": SAMPLE_RATE,
        "normalize_input": normalize_input,
    }


def _find(upstream: str):
    """The function of s3prl's hub; s3prl.hub itself would import every upstream and take 20 s."""
    for folder in FOLDERS:
        try:
            module = importlib.import_module(f"s3prl.upstream.{folder}.hubconf")
        except ModuleNotFoundError as error:
            raise ValueError(
                f"s3prl:{upstream}: s3prl cannot be imported ({error}); pip install .[s3prl] in a clone"
            ) from error
        if hasattr(module, upstream):
            return getattr(module, upstream)
    raise ValueError(f"s3prl:{upstream}: none of {', '.join(FOLDERS)} in s3prl has an upstream of this name")
