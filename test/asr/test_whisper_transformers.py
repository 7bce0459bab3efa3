"""The transformers back end on tiny.en, whose weights are read out of faster-whisper's file."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_posinv.asr.whisper_transformers import WhisperTransformers
from espnet_posinv.ssl.ct2 import read_model
from espnet_posinv.text.normalize import normalize

DOWNLOADS = Path(os.environ.get("POSINV_DOWNLOADS", Path(__file__).parents[2] / "egs2/mini_debian/downloads"))
SOURCE = DOWNLOADS / "whisper-tiny.en"
PROMPTS = {
    "agent-pass": "please enter your password followed by the pound key",
    "goodbye": "goodbye",
}


def layer(variables, ours, theirs, blocks):
    """Parameters of one layer under transformers' names."""
    state = {}
    for block, name in blocks.items():
        parts = [variables[f"{ours}/{block}/linear_{i}/{p}"] for p in ("weight", "bias") for i in (0, 1)]
        if block == "ffn":
            state |= dict(
                zip((f"{theirs}.fc{i}.{p}" for p in ("weight", "bias") for i in (1, 2)), parts, strict=True)
            )
            norm = f"{theirs}.final_layer_norm"
        else:
            (w0, w1, b0, b1), out = parts, f"{ours}/{block}/linear_2"
            weight, bias = np.concatenate([w0, w1]), np.concatenate([b0, b1])
            if block == "attention":
                state |= {
                    f"{theirs}.{name}.out_proj.{p}": variables[f"{out}/{p}"] for p in ("weight", "bias")
                }
            else:
                weight, bias = w0, b0
                state |= {f"{theirs}.{name}.out_proj.weight": w1, f"{theirs}.{name}.out_proj.bias": b1}
            for part, w, b in zip("qkv", np.split(weight, 3), np.split(bias, 3), strict=True):
                state[f"{theirs}.{name}.{part}_proj.weight"] = w
                if part != "k":  # Whisper's keys have no bias
                    state[f"{theirs}.{name}.{part}_proj.bias"] = b
            norm = f"{theirs}.{name}_layer_norm"
        state |= {f"{norm}.{p}": variables[f"{ours}/{block}/layer_norm/{q}"] for p, q in NORM.items()}
    return state


NORM = {"weight": "gamma", "bias": "beta"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """tiny.en as a folder of transformers."""
    if not (SOURCE / "model.bin").exists():
        pytest.skip(f"no {SOURCE}: stage 1 of mini_debian fetches it")
    from transformers import (
        GenerationConfig,
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    _, variables = read_model(SOURCE / "model.bin")
    known = json.loads((SOURCE / "config.json").read_text())
    sizes = {
        f"{side}_{what}": n
        for side in ("encoder", "decoder")
        for what, n in (("layers", 4), ("attention_heads", 6), ("ffn_dim", 1536))
    }
    network = WhisperForConditionalGeneration(WhisperConfig(vocab_size=51864, d_model=384, **sizes))
    state = {"model.decoder.embed_tokens.weight": variables["decoder/embeddings/weight"]}
    state["proj_out.weight"] = state["model.decoder.embed_tokens.weight"]
    for conv in ("conv1", "conv2"):
        state |= {f"model.encoder.{conv}.{p}": variables[f"encoder/{conv}/{p}"] for p in ("weight", "bias")}
    for side in ("encoder", "decoder"):
        state[f"model.{side}.embed_positions.weight"] = variables[f"{side}/position_encodings/encodings"]
        state |= {
            f"model.{side}.layer_norm.{p}": variables[f"{side}/layer_norm/{q}"] for p, q in NORM.items()
        }
        blocks = {"self_attention": "self_attn", "ffn": ""}
        if side == "decoder":
            blocks["attention"] = "encoder_attn"
        for i in range(4):
            state |= layer(variables, f"{side}/layer_{i}", f"model.{side}.layers.{i}", blocks)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(value, np.float32)) for name, value in state.items()}
    )
    network.generation_config = GenerationConfig(
        is_multilingual=False,
        decoder_start_token_id=50257,
        eos_token_id=50256,
        pad_token_id=50256,
        no_timestamps_token_id=50362,
        suppress_tokens=known["suppress_ids"],
        begin_suppress_tokens=known["suppress_ids_begin"],
        max_length=448,
    )
    folder = tmp_path_factory.mktemp("whisper") / "tiny.en"
    network.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_file=str(SOURCE / "tokenizer.json")).save_pretrained(folder)
    return folder


def test_clean_prompts_are_recognised(model):
    from espnet_posinv.corpora.audio import read_audio

    sounds = next(iter(DOWNLOADS.rglob("en_US_f_Allison")), None)
    if sounds is None:
        pytest.skip(f"no English prompts under {DOWNLOADS}: stage 1 of mini_debian fetches them")
    recogniser = WhisperTransformers(str(model))
    for name, text in PROMPTS.items():
        assert normalize(recogniser.transcribe(read_audio(sounds / f"{name}.g722"))) == text
    settings = recogniser.settings()
    assert settings["model"] == "tiny.en" and len(settings["model_sha256"][0]) == 64


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"31.0 s, but Whisper takes 30 s at a time"):
        WhisperTransformers("m").transcribe(np.zeros(31 * 16000, np.float32))
    with pytest.raises(ValueError, match=r"no weights \(.safetensors or .bin\) in this folder"):
        WhisperTransformers(str(tmp_path)).settings()
