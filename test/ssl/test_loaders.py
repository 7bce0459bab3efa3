"""Every loader against its library's own forward pass, and all loaders against each other."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from espnet_posinv.ssl import SSLEncoder, load_encoder
from espnet_posinv.ssl import s3prl as s3prl_loader
from espnet_posinv.ssl import torchaudio as torchaudio_loader
from espnet_posinv.ssl import transformers as transformers_loader

FAMILIES, LAYOUTS = ("hubert", "wav2vec2", "wavlm"), ("base", "large")


def wav(batch=2, samples=400 + 17 * 320):  # 18 frames that see every sample
    torch.manual_seed(5)
    return 0.1 * torch.randn(batch, samples)


def reaches_waveform(encoder):
    x = wav(1).requires_grad_()
    encoder(x)[0].square().sum().backward()
    return x.grad.abs().min() > 0 and all(p.grad is None for p in encoder.parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_features(folder, family, layout):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder(family, layout)).eval()
    x = wav()
    for layer in (0, 1, 2, -1):
        encoder = load_encoder(f"transformers:{folder(family, layout)}", layers=layer, normalize_input=False)
        with torch.no_grad():
            out = model(x, output_hidden_states=True)
            # the last one counts behind the final norm, where transformers' list may stop before it
            theirs = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
        torch.testing.assert_close(encoder(x)[0], theirs, rtol=1e-4, atol=1e-5)
    assert reaches_waveform(encoder)


def test_large_layouts_get_normalised_input(folder, tmp_path):
    """As transformers' feature extractor does it; preprocessor_config.json has the last word."""
    from transformers import Wav2Vec2FeatureExtractor

    base, large = (load_encoder(f"transformers:{folder('hubert', layout)}") for layout in LAYOUTS)
    assert (base.normalize_input, large.normalize_input) == (False, True)
    x = wav(1) * 3 + 0.2
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        x[0].numpy(), sampling_rate=16000, return_tensors="pt"
    )
    plain = load_encoder(f"transformers:{folder('hubert', 'large')}", normalize_input=False)
    torch.testing.assert_close(large(x)[0], plain(theirs.input_values)[0], rtol=1e-4, atol=1e-5)
    shutil.copytree(folder("hubert", "large"), tmp_path / "m")
    (tmp_path / "m/preprocessor_config.json").write_text(
        json.dumps({"do_normalize": False, "sampling_rate": 8000})
    )
    with pytest.raises(ValueError, match="trained at 8000 Hz, but the waveforms have 16000 Hz"):
        load_encoder(f"transformers:{tmp_path / 'm'}")
    assert not load_encoder(f"transformers:{tmp_path / 'm'}", sample_rate=8000).normalize_input


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", ["wav2vec2", "wavlm"])
def test_torchaudio_features(make_torchaudio, family, layout, tmp_path, monkeypatch):
    import torchaudio.models

    model = make_torchaudio(family, layout)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    monkeypatch.setattr(torchaudio.models, "tiny", lambda: make_torchaudio(family, layout), raising=False)
    encoder = load_encoder(f"torchaudio:tiny,{tmp_path / 'model.pt'}", normalize_input=False)
    x = wav()
    with torch.no_grad():
        theirs, _ = model(x)  # all layers and the final norm
    torch.testing.assert_close(encoder(x)[0], theirs, rtol=1e-4, atol=1e-5)
    assert reaches_waveform(encoder)


def test_torchaudio_errors(make_torchaudio, tmp_path, monkeypatch):
    import torchaudio.models

    with pytest.raises(ValueError, match=r"no such bundle in torchaudio\.pipelines"):
        load_encoder("torchaudio:HUBERT_TINY")
    with pytest.raises(ValueError, match=r"torchaudio\.models has no hubert_tiny"):
        load_encoder("torchaudio:hubert_tiny,x.pt")
    with pytest.raises(ValueError, match=re.escape(f"there is no file {tmp_path}/x.pt")):
        load_encoder(f"torchaudio:hubert_base,{tmp_path}/x.pt")
    monkeypatch.setattr(torchaudio.models, "tiny", lambda: make_torchaudio("wav2vec2", "base"), raising=False)
    torch.save(make_torchaudio("wavlm", "base").state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match="no state dict of tiny"):
        load_encoder(f"torchaudio:tiny,{tmp_path / 'other.pt'}")
    whole = (tmp_path / "other.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.pt is truncated"):
        load_encoder(f"torchaudio:tiny,{tmp_path / 'cut.pt'}")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_s3prl_features(save_s3prl, family, layout, tmp_path):
    name = save_s3prl(family, layout, tmp_path / "model.pt")
    expert = s3prl_loader._find(name)(ckpt=str(tmp_path / "model.pt")).eval()
    x = 3 * wav()  # loud: s3prl's normalisation adds 1e-5 to the variance, ours 1e-7
    with torch.no_grad():
        theirs = expert(list(x))["hidden_states"]
    for layer in (0, 2, -1):
        encoder = load_encoder(f"s3prl:{name},{tmp_path / 'model.pt'}", layers=layer)
        feats, frames = encoder(x)
        assert frames.tolist() == [feats.shape[1]] * 2 == [18, 18]  # no repeated last frame
        torch.testing.assert_close(feats, theirs[layer][:, :18], rtol=1e-3, atol=1e-3)
    assert encoder.normalize_input == (layout == "large")
    assert reaches_waveform(encoder)


def test_s3prl_refuses_a_folder_of_another_family(folder):
    """s3prl's own hf_wav2vec2_custom takes a WavLM folder and fills the gaps with random numbers."""
    with pytest.raises(
        ValueError, match=r"holds WavLM 3 x 48 \(self-supervised\), not a model for hf_wav2vec2"
    ):
        load_encoder(f"s3prl:hf_wav2vec2_custom,{folder('wavlm')}")
    assert load_encoder(f"s3prl:hf_hubert_custom,{folder('hubert')}").label.startswith("HuBERT")


def test_s3prl_errors(save_s3prl, tmp_path):
    name = save_s3prl("hubert", "base", tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"there is no /nowhere/model\.pt"):
        load_encoder("s3prl:hubert_local,/nowhere/model.pt")
    with pytest.raises(ValueError, match="has an upstream of this name"):
        load_encoder(f"s3prl:hubert_loca,{tmp_path / 'model.pt'}")
    with pytest.raises(ValueError, match="truncated or no checkpoint of wavlm_local"):
        load_encoder(f"s3prl:wavlm_local,{tmp_path / 'model.pt'}")
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="missing, truncated or no checkpoint"):
        load_encoder(f"s3prl:{name},{tmp_path / 'cut.pt'}")


def test_all_loaders_agree_on_the_same_weights(save_s3prl, tmp_path, make_model):
    """One set of weights in transformers', torchaudio's and fairseq's (s3prl's) clothes."""
    pytest.importorskip("s3prl", reason="the extra [s3prl] is not installed")
    theirs = make_model("wav2vec2", "base")
    network, _ = transformers_loader.from_model(theirs, {}, "memory")
    x = wav()
    expected, _ = SSLEncoder(network, label="transformers")(x)

    from torchaudio.models.wav2vec2.utils import import_huggingface_model

    network, _ = torchaudio_loader.from_model(import_huggingface_model(theirs), "memory", "torchaudio")
    torch.testing.assert_close(SSLEncoder(network, label="torchaudio")(x)[0], expected, rtol=1e-4, atol=1e-5)

    save_s3prl("wav2vec2", "base", tmp_path / "model.pt")
    expert = s3prl_loader._find("wav2vec2_local")(ckpt=str(tmp_path / "model.pt"))
    with torch.no_grad():
        for name, value in expert.model.state_dict().items():
            hf = re.sub(r"conv_layers\.(\d+)\.0\.", r"conv_layers.\1.conv.", name)
            hf = re.sub(r"conv_layers\.(\d+)\.2\.", r"conv_layers.\1.layer_norm.", hf)
            hf = hf.replace("self_attn_layer_norm", "layer_norm").replace("self_attn", "attention")
            hf = hf.replace("fc1", "feed_forward.intermediate_dense").replace(
                "fc2", "feed_forward.output_dense"
            )
            hf = re.sub("^layer_norm", "feature_projection.layer_norm", hf)
            hf = hf.replace("post_extract_proj", "feature_projection.projection")
            hf = hf.replace("pos_conv.0.weight_g", "pos_conv_embed.conv.parametrizations.weight.original0")
            hf = hf.replace("pos_conv.0.weight_v", "pos_conv_embed.conv.parametrizations.weight.original1")
            hf = hf.replace("pos_conv.0", "pos_conv_embed.conv")
            if not re.match("mask_emb|final_proj|project_q", hf):
                value.copy_(theirs.state_dict()[hf])
    network, _ = s3prl_loader.from_model(expert.model, "memory", "s3prl", False)
    torch.testing.assert_close(SSLEncoder(network, label="s3prl")(x)[0], expected, rtol=1e-4, atol=1e-5)


def test_half_precision_checkpoints_run_in_float32(make_model, tmp_path):
    model = make_model("hubert", "base")
    model.half().save_pretrained(tmp_path)
    encoder = load_encoder(f"transformers:{tmp_path}")
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert encoder(wav())[0].dtype == torch.float32


def test_weights_below_a_head_are_found(make_model, tmp_path):
    """A model fine-tuned for CTC keeps the encoder under a prefix."""
    from transformers import HubertConfig, HubertForCTC

    model = make_model("hubert", "base")
    ctc = HubertForCTC(HubertConfig(**{**model.config.to_dict(), "vocab_size": 8}))
    ctc.hubert.load_state_dict(model.state_dict())
    ctc.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(wav()).last_hidden_state
    torch.testing.assert_close(
        load_encoder(f"transformers:{tmp_path}")(wav())[0], expected, rtol=1e-4, atol=1e-5
    )


def damaged(folder, tmp_path, **changes):
    target = tmp_path / "damaged"
    shutil.copytree(folder("hubert"), target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


def test_missing_and_broken_folders_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="transformers:/nowhere/hubert: there is no such folder"):
        load_encoder("transformers:/nowhere/hubert")
    target = damaged(folder, tmp_path)
    weights = target / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"damaged: its weights cannot be read, the file is missing, truncated"
    ):
        load_encoder(f"transformers:{target}")
    weights.unlink()
    with pytest.raises(
        ValueError, match=r"holds no weights; looked for model\.safetensors, pytorch_model\.bin"
    ):
        load_encoder(f"transformers:{target}")
    (target / "config.json").unlink()
    weights.write_bytes(whole)
    with pytest.raises(ValueError, match=r"cannot read its config\.json"):
        load_encoder(f"transformers:{target}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "wavlm", "architectures": ["WavLMModel"]}, "its weights do not fit its config.json"),
        ({"num_hidden_layers": 4}, r"missing \['encoder.layers.3"),
        ({"num_hidden_layers": 2}, r"unknown \['encoder.layers.2"),
        ({"model_type": "bert"}, r"is a 'bert' model; known: hubert, wav2vec2, wavlm"),
        ({"hidden_act": "relu"}, "hidden_act='relu' is not supported"),
    ],
)
def test_another_architecture_is_refused(folder, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load_encoder(f"transformers:{damaged(folder, tmp_path, **changes)}")


@pytest.mark.parametrize("upstream", ["hubert", "fairseq:hubert", "transformers:"])
def test_unknown_loaders_are_refused(upstream):
    with pytest.raises(ValueError, match="write LOADER:NAME"):
        load_encoder(upstream)


def test_nothing_of_espnet_is_imported():
    source = "".join(p.read_text() for p in Path(transformers_loader.__file__).parent.glob("*.py"))
    assert not re.search(r"^\s*(from|import) espnet2?\b", source, re.M)


def test_the_fingerprint_is_that_of_any_number_of_threads():
    """The merged weight of the position convolution once took its last bits from how a sum was divided."""
    model = f"transformers:{Path(__file__).parents[2] / 'egs2/mini_debian/ssl1/mini_hubert'}"
    threads, found = torch.get_num_threads(), set()
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            found.add(load_encoder(model).fingerprint())
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 1
