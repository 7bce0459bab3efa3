"""Whisper's encoder from a CTranslate2 file, against transformers' and CTranslate2's own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from espnet_posinv.ssl import load_encoder
from espnet_posinv.ssl.ct2 import read_model
from espnet_posinv.ssl.whisper import LogMel

ROOT = Path(__file__).parents[2]


def wav(samples, batch=1):
    torch.manual_seed(2)
    return 0.1 * torch.randn(batch, samples) * torch.linspace(0.2, 1, samples)


def test_hidden_states_equal_those_of_transformers(whisper):
    folder, theirs = whisper
    x = wav(480000)  # 30 s: the one length that transformers takes
    with torch.no_grad():
        mel = LogMel(80)(x, None)
        out = theirs(mel, output_hidden_states=True)
        for layer in range(4):
            feats, frames = load_encoder(f"whisper:{folder}", layers=layer)(x)
            state = out.last_hidden_state if layer == 3 else out.hidden_states[layer]
            torch.testing.assert_close(feats, state, rtol=1e-4, atol=1e-4)
    assert frames.tolist() == [1500]


def test_log_mel_equals_that_of_transformers():
    from transformers import WhisperFeatureExtractor

    x = wav(480000)
    x[:, -400:] = 0.0  # transformers mirrors the end of its 30 s, we put zeros there
    theirs = WhisperFeatureExtractor()(x[0].numpy(), sampling_rate=16000, return_tensors="pt").input_features
    torch.testing.assert_close(LogMel(80)(x, None), theirs, rtol=0, atol=2e-5)


def test_log_mel_floor_is_the_utterances_own():
    """A loud neighbour, or noise in the padding, must not raise the floor of a quiet utterance."""
    quiet, loud = 1e-3 * wav(8000), wav(8000)
    lengths = torch.tensor([4800])
    valid = torch.arange(50)[None] < lengths[:, None] // 160
    x = torch.cat([quiet[:, :4800], torch.zeros(1, 3200)], dim=1)
    mel = LogMel(80)(torch.cat([x, loud]), torch.cat([valid, torch.ones(1, 50, dtype=torch.bool)]))
    torch.testing.assert_close(mel[0, :, :30], LogMel(80)(x[:, :4800], None)[0], rtol=0, atol=1e-5)
    assert not mel[0, :, 30:].any()


@pytest.mark.parametrize(
    ("samples", "frames"), [(400, 1), (479, 1), (480, 2), (16000, 50), (15999, 50), (480000, 1500)]
)
def test_frame_counts(whisper, samples, frames):
    encoder = load_encoder(f"whisper:{whisper[0]}", layers=0)
    feats, count = encoder(wav(samples))
    assert count.item() == feats.shape[1] == frames


def test_lengths_outside_the_models_range_are_named(whisper):
    encoder = load_encoder(f"whisper:{whisper[0]}")
    with pytest.raises(
        ValueError, match=r"utterance 0 of the batch: 399 samples, but Whisper .* needs 400 or more"
    ):
        encoder(wav(399))
    with pytest.raises(ValueError, match=r"480001 samples, but Whisper .* takes 480000 at most"):
        encoder(wav(480001))


def test_the_label_says_weakly_supervised(whisper):
    assert load_encoder(f"whisper:{whisper[0]}").label == "Whisper encoder 3 x 32 (weakly supervised)"


def test_reader_returns_what_was_written(tmp_path, ct2_writer):
    variables = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.array([[1, -2], [3, 127]], dtype=np.int8),
        "b_scale": np.array([2.0, 127.0], dtype=np.float32),
        "n": np.int16(7),
    }
    ct2_writer(tmp_path / "model.bin", variables, aliases=[("c", "a")], spec="AnySpec")
    name, read = read_model(tmp_path / "model.bin")
    assert name == "AnySpec" and sorted(read) == ["a", "b", "c", "n"]
    np.testing.assert_array_equal(read["a"], variables["a"])
    np.testing.assert_array_equal(read["c"], variables["a"])
    np.testing.assert_allclose(read["b"], [[0.5, -1], [3 / 127, 1]], rtol=1e-6)
    assert int(read["n"]) == 7


def test_int8_models_are_close_to_their_float_original(whisper, tmp_path, ct2_writer):
    from espnet_posinv.ssl.ct2 import read_model

    _, variables = read_model(Path(whisper[0]) / "model.bin")
    small = {}
    for key, value in variables.items():
        if key.endswith(("linear_0/weight", "linear_1/weight")):
            scale = 127 / np.abs(value).max(axis=1)
            small[key] = np.round(value * scale[:, None]).astype(np.int8)
            small[f"{key}_scale"] = scale.astype(np.float32)
        else:
            small[key] = value
    ct2_writer(tmp_path / "model.bin", small)
    x = wav(8000)
    original, quantised = (load_encoder(f"whisper:{f}")(x)[0] for f in (whisper[0], tmp_path))
    assert 0 < (original - quantised).norm() / original.norm() < 0.05


def test_broken_files_are_named(whisper, tmp_path, ct2_writer):
    with pytest.raises(ValueError, match=r"looked for /nowhere/model\.bin, which does not exist"):
        load_encoder("whisper:/nowhere")
    whole = (Path(whisper[0]) / "model.bin").read_bytes()
    for cut in (3, 20, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "model.bin").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=rf"model\.bin: truncated: {cut} bytes"):
            load_encoder(f"whisper:{tmp_path}")
    (tmp_path / "model.bin").write_bytes(b"PK\x03\x04" + whole)
    with pytest.raises(ValueError, match="no CTranslate2 model"):
        load_encoder(f"whisper:{tmp_path}")
    ct2_writer(tmp_path / "model.bin", {"a": np.float32(1)}, spec="TransformerSpec")
    with pytest.raises(ValueError, match="holds a TransformerSpec, not a WhisperSpec"):
        load_encoder(f"whisper:{tmp_path}")


def test_real_weights_equal_ctranslate2():
    ctranslate2 = pytest.importorskip("ctranslate2", reason="the extra [recipes] is not installed")
    found = sorted(ROOT.glob("egs2/mini_debian/downloads/**/*tiny*/model.bin"))
    if not found:
        pytest.skip("no Whisper tiny.en under egs2/mini_debian/downloads: run the recipe's stage 1")
    encoder = load_encoder(f"whisper:{found[0].parent}")
    x = torch.cat([wav(64000), torch.zeros(1, 416000)], dim=1)
    theirs = ctranslate2.models.Whisper(str(found[0].parent), compute_type="float32", intra_threads=1)
    mel = ctranslate2.StorageView.from_array(encoder.network.log_mel(x, None).numpy())
    np.testing.assert_allclose(encoder(x)[0].numpy(), np.array(theirs.encode(mel)), rtol=1e-3, atol=2e-3)
