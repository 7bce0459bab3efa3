"""Tiny models of every family and layout, with random weights, in the formats that the loaders read."""

import dataclasses
import struct

import numpy as np
import pytest
import torch

FAMILIES = ("hubert", "wav2vec2", "wavlm")
LAYOUTS = ("base", "large")
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (24,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def make_transformers(family: str, layout: str, **changes):
    """A transformers model whose every weight differs from its initial value."""
    import transformers

    name = {"hubert": "Hubert", "wav2vec2": "Wav2Vec2", "wavlm": "WavLM"}[family]
    large = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    config = getattr(transformers, f"{name}Config")(
        **{**SIZES, **(large if layout == "large" else {}), **changes}
    )
    torch.manual_seed(FAMILIES.index(family))
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


def _make_torchaudio(family, layout):
    import torchaudio.models

    conv = [(24, 10, 5)] + [(24, 3, 2)] * 4 + [(24, 2, 2)] * 2
    large = layout == "large"
    mode = "layer_norm" if large else "group_norm"
    torch.manual_seed(7)
    if family == "wavlm":
        model = torchaudio.models.wavlm_model(
            mode, conv, large, 48, 0.0, 16, 4, 3, 4, 320, 800, 0.0, 64, 0.0, 0.0, large, 0.0, None
        )
    else:
        model = torchaudio.models.wav2vec2_model(
            mode, conv, large, 48, 0.0, 16, 4, 3, 4, 0.0, 64, 0.0, 0.0, large, 0.0, None
        )
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model.eval()


def _save_s3prl(family, layout, path):
    """A checkpoint as s3prl's converters write it; returns the upstream's name and the model."""
    pytest.importorskip("s3prl", reason="the extra [s3prl] is not installed")
    from s3prl.upstream.hubert import hubert_model
    from s3prl.upstream.wav2vec2 import wav2vec2_model
    from s3prl.upstream.wavlm import WavLM as wavlm_model

    large = layout == "large"
    sizes = {
        "conv_feature_layers": "[(24,10,5)] + [(24,3,2)] * 4 + [(24,2,2)] * 2",
        "encoder_layers": 3,
        "encoder_embed_dim": 48,
        "encoder_ffn_embed_dim": 64,
        "encoder_attention_heads": 4,
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "extractor_mode": "layer_norm" if large else "default",
        "layer_norm_first": large,
        "conv_bias": large,
    }
    torch.manual_seed(7)
    if family == "wavlm":
        relative = {"relative_position_embedding": True, "num_buckets": 320, "max_distance": 800}
        config = wavlm_model.WavLMConfig({**sizes, **relative, "gru_rel_pos": True, "normalize": large})
        model = wavlm_model.WavLM(config)
    elif family == "hubert":
        config = hubert_model.HubertConfig(label_rate=50, final_dim=8, **sizes)
        task = hubert_model.HubertPretrainingConfig(normalize=large)
        model = hubert_model.HubertModel(config, task, [["a", "b"]])
    else:
        config = wav2vec2_model.Wav2Vec2Config(**sizes)
        task = wav2vec2_model.AudioPretrainingConfig(normalize=large)
        model = wav2vec2_model.Wav2Vec2Model(config)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    if family == "wavlm":
        torch.save({"cfg": config.__dict__, "model": model.state_dict()}, path)
    else:
        state = {
            "task_cfg": dataclasses.asdict(task),
            "model_cfg": dataclasses.asdict(config),
            "model_weight": model.state_dict(),
        }
        torch.save(state | ({"dictionaries_symbols": [["a", "b"]]} if family == "hubert" else {}), path)
    return f"{family}_local"


@pytest.fixture(scope="session")
def make_torchaudio():
    return _make_torchaudio


@pytest.fixture(scope="session")
def save_s3prl():
    return _save_s3prl


@pytest.fixture(scope="session")
def variables_of():
    return whisper_variables


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """folder(family, layout) -> a transformers folder, made once."""
    made = {}

    def make(family, layout="base"):
        if (family, layout) not in made:
            path = tmp_path_factory.mktemp(f"{family}-{layout}")
            make_transformers(family, layout).save_pretrained(path)
            made[family, layout] = str(path)
        return made[family, layout]

    return make


@pytest.fixture(scope="session")
def make_model():
    return make_transformers


@pytest.fixture(scope="session")
def ct2_writer():
    return write_ct2


def write_ct2(path, variables: dict[str, np.ndarray], aliases=(), spec="WhisperSpec", version=6):
    """The inverse of the reader, from the format's description."""
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def string(text):
        raw = text.encode() + b"\0"
        return struct.pack("<H", len(raw)) + raw

    out = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    for key, value in variables.items():
        value = np.asarray(value)
        out += string(key) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        out += struct.pack("<BI", codes[str(value.dtype)], value.nbytes) + value.tobytes()
    out += struct.pack("<I", len(aliases))
    for alias, key in aliases:
        out += string(alias) + string(key)
    path.write_bytes(out)


def make_whisper(dim=32, heads=2, layers=3, ffn=48, bands=80, frames=1500):
    """A transformers WhisperEncoder with random weights, without the check for 30 s of input."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    torch.manual_seed(0)
    encoder = WhisperEncoder(
        WhisperConfig(
            d_model=dim,
            encoder_attention_heads=heads,
            encoder_layers=layers,
            encoder_ffn_dim=ffn,
            num_mel_bins=bands,
            max_source_positions=frames,
        )
    ).eval()
    with torch.no_grad():
        for name, p in encoder.named_parameters():
            if "embed_positions" not in name:
                p += 0.1 * torch.randn_like(p)
    return encoder


def whisper_variables(encoder, dtype=np.float32) -> dict[str, np.ndarray]:
    """The encoder's weights under CTranslate2's names."""
    state = {k: v.detach().numpy().astype(dtype) for k, v in encoder.state_dict().items()}
    out = {"encoder/num_heads": np.int16(encoder.config.encoder_attention_heads)}
    for conv in ("conv1", "conv2"):
        out |= {f"encoder/{conv}/{k}": state[f"{conv}.{k}"] for k in ("weight", "bias")}
    out["encoder/position_encodings/encodings"] = state["embed_positions.weight"]
    out["encoder/layer_norm/gamma"] = state["layer_norm.weight"]
    out["encoder/layer_norm/beta"] = state["layer_norm.bias"]
    for i in range(encoder.config.encoder_layers):
        theirs, ours = f"layers.{i}", f"encoder/layer_{i}"
        q, k, v = (state[f"{theirs}.self_attn.{p}_proj.weight"] for p in "qkv")
        bias = state[f"{theirs}.self_attn.q_proj.bias"]
        out[f"{ours}/self_attention/linear_0/weight"] = np.concatenate([q, k, v])
        # Whisper's keys have no bias; CTranslate2 writes zeros
        out[f"{ours}/self_attention/linear_0/bias"] = np.concatenate(
            [bias, np.zeros_like(bias), state[f"{theirs}.self_attn.v_proj.bias"]]
        )
        pairs = (
            ("self_attention/linear_1", "self_attn.out_proj"),
            ("ffn/linear_0", "fc1"),
            ("ffn/linear_1", "fc2"),
        )
        for our, their in pairs:
            out |= {f"{ours}/{our}/{k}": state[f"{theirs}.{their}.{k}"] for k in ("weight", "bias")}
        for our, their in (("self_attention", "self_attn_layer_norm"), ("ffn", "final_layer_norm")):
            out[f"{ours}/{our}/layer_norm/gamma"] = state[f"{theirs}.{their}.weight"]
            out[f"{ours}/{our}/layer_norm/beta"] = state[f"{theirs}.{their}.bias"]
    return out


@pytest.fixture(scope="session")
def whisper(tmp_path_factory):
    """(folder with a model.bin, the transformers encoder with the same weights)."""
    encoder = make_whisper()
    path = tmp_path_factory.mktemp("whisper")
    write_ct2(path / "model.bin", whisper_variables(encoder))
    return str(path), encoder


@pytest.fixture(scope="session")
def upstream(folder, whisper):
    """upstream(name) -> what load_encoder takes, for "hubert-base" ... "wavlm-large" and "whisper"."""
    return lambda name: (
        f"whisper:{whisper[0]}" if name == "whisper" else f"transformers:{folder(*name.split('-'))}"
    )
