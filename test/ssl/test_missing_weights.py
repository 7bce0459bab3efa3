"""A checkpoint that lacks any one of its tensors is refused, by every loader, and the tensor is named."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from espnet_posinv.ssl import load_encoder, s3prl, transformers, whisper
from espnet_posinv.ssl import torchaudio as torchaudio_loader

ALIKE = re.compile(r"layers\.[12]\.|layer_[12]/|conv_layers\.[2-6]\.")  # as those of the layers before
UNNEEDED = {"masked_spec_embed"}  # of pre-training


def refused(load, name, message):
    with pytest.raises(ValueError, match=message):
        load()
        pytest.fail(f"loaded without {name}")


@pytest.mark.parametrize("model", ["hubert-base", "wav2vec2-large", "wavlm-base"])
def test_transformers(make_model, tmp_path, model):
    make_model(*model.split("-"), num_hidden_layers=1).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    whole = load_file(file)
    assert any("pos_conv_embed.conv" in name for name in whole)
    for name in [n for n in whole if not ALIKE.search(n)]:
        save_file({k: v for k, v in whole.items() if k != name}, file, metadata={"format": "pt"})
        if name in UNNEEDED:
            transformers.load(str(tmp_path))
        else:
            refused(lambda: transformers.load(str(tmp_path)), name, "missing .*" + name.split(".")[-1])


@pytest.mark.parametrize("lost", ["weight_g", "weight_v"])
def test_older_names_of_the_position_convolution(make_model, tmp_path, lost):
    make_model("hubert", "base", num_hidden_layers=1).save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    new = "encoder.pos_conv_embed.conv.parametrizations.weight.original"
    for number, name in enumerate(("weight_g", "weight_v")):
        state[f"encoder.pos_conv_embed.conv.{name}"] = state.pop(f"{new}{number}")
    (tmp_path / "model.safetensors").unlink()
    torch.save(state, tmp_path / "pytorch_model.bin")
    transformers.load(str(tmp_path))
    del state[f"encoder.pos_conv_embed.conv.{lost}"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    refused(lambda: transformers.load(str(tmp_path)), lost, "missing .*pos_conv_embed")


@pytest.mark.parametrize("family", ["wav2vec2", "wavlm"])
def test_torchaudio(make_torchaudio, tmp_path, monkeypatch, family):
    import torchaudio.models

    model = make_torchaudio(family, "base")
    monkeypatch.setattr(torchaudio.models, "tiny", lambda: model, raising=False)
    whole = model.state_dict()
    for name in [n for n in whole if not ALIKE.search(n)]:
        torch.save({k: v for k, v in whole.items() if k != name}, tmp_path / "model.pt")
        refused(lambda: torchaudio_loader.load(f"tiny,{tmp_path}/model.pt"), name, name.rpartition(".")[2])


@pytest.mark.parametrize("family", ["hubert", "wav2vec2", "wavlm"])
def test_s3prl(save_s3prl, tmp_path, family):
    path = tmp_path / "model.pt"
    upstream = save_s3prl(family, "base", path)
    saved = torch.load(path, weights_only=False)
    key = "model" if family == "wavlm" else "model_weight"
    for name in [n for n in saved[key] if not ALIKE.search(n)]:
        lacking = {k: v for k, v in saved[key].items() if k != name}
        torch.save(saved | {key: lacking}, path)
        refused(lambda: s3prl.load(f"{upstream},{path}"), name, name)


def test_whisper(whisper, variables_of, ct2_writer, tmp_path):
    whole = variables_of(whisper[1])
    for name in [n for n in whole if not ALIKE.search(n)]:
        ct2_writer(tmp_path / "model.bin", {k: v for k, v in whole.items() if k != name})
        refused(lambda: whisper_loader(tmp_path), name, "(lacks|Missing key)")


def whisper_loader(folder):
    return whisper.load(str(folder))


def test_a_quantised_weight_without_its_scale(whisper, variables_of, ct2_writer, tmp_path):
    variables = variables_of(whisper[1])
    key = "encoder/layer_1/ffn/linear_0/weight"
    scale = 127 / np.abs(variables[key]).max(1)
    variables[key] = np.rint(variables[key] * scale[:, None]).astype(np.int8)
    ct2_writer(tmp_path / "model.bin", variables | {f"{key}_scale": scale.astype(np.float32)})
    whisper_loader(tmp_path)
    ct2_writer(tmp_path / "model.bin", variables)
    refused(lambda: whisper_loader(tmp_path), "scale", "ffn/linear_0/weight_scale is missing")


@pytest.mark.parametrize("config", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize("normalize", [True, False])
def test_input_is_prepared_as_the_folder_says(folder, tmp_path, config, normalize):
    """As AutoFeatureExtractor reads it: transformers 5 writes processor_config.json alone (issue 44623)."""
    from transformers import AutoFeatureExtractor, Wav2Vec2FeatureExtractor

    shutil.copytree(folder("hubert"), tmp_path / "m")
    Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=normalize).save_pretrained(tmp_path / "m")
    if config == "processor_config.json":
        file = tmp_path / "m/preprocessor_config.json"
        values = {"feature_extractor": json.loads(file.read_text()), "processor_class": "Wav2Vec2Processor"}
        (tmp_path / "m" / config).write_text(json.dumps(values))
        file.unlink()
    theirs = AutoFeatureExtractor.from_pretrained(tmp_path / "m")
    _, facts = transformers.load(str(tmp_path / "m"))
    assert (facts["normalize_input"], facts["sample_rate"]) == (normalize, 8000)
    assert (theirs.do_normalize, theirs.sampling_rate) == (normalize, 8000)
    (tmp_path / "m" / config).write_text("{")
    with pytest.raises(ValueError, match="cannot read how its input is prepared"):
        transformers.load(str(tmp_path / "m"))


def test_where_nothing_says_how_input_is_prepared(folder):
    assert not (Path(folder("hubert")) / "preprocessor_config.json").exists()
    assert transformers.load(folder("hubert"))[1]["normalize_input"] is False
    assert transformers.load(folder("hubert", "large"))[1]["normalize_input"] is True


def test_a_weight_that_is_not_finite_is_named(make_model, tmp_path):
    make_model("hubert", "base", num_hidden_layers=1).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    state["encoder.layer_norm.weight"][3] = torch.nan
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"norm\.weight hold NaN or infinity"):
        load_encoder(f"transformers:{tmp_path}")
