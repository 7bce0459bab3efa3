"""The probe as a whole on a tiny encoder: files, shifts, the two layer rules, the descents."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from espnet_posinv.cli import command
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
from espnet_posinv.criterions.ssl_sinkhorn import SSLSinkhornLoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.probe import hidden
from espnet_posinv.probe.exploit import compare
from espnet_posinv.probe.hidden import HiddenStates, read_speech
from espnet_posinv.probe.layers import noise_monotony, speech_shaped_noise
from espnet_posinv.probe.position import shift_changes
from espnet_posinv.probe.probe import Settings, inputs, probe
from espnet_posinv.probe.report import read_probe

main = command("probe")


@pytest.fixture(scope="module")
def upstream(random_hubert):
    """A HuBERT of the layout with layer norm, whose conv frames depend on nothing but their own samples."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    large = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
    upstream = random_hubert(
        **sizes, **large, conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2
    )
    settings = Path(upstream.partition(":")[2]) / "preprocessor_config.json"
    settings.write_text('{"do_normalize": false, "sampling_rate": 16000}')
    return upstream


@pytest.fixture(scope="module")
def tones():
    t = torch.arange(8000) / 16000
    return 0.1 * torch.stack([(2 * np.pi * f * (1 + 0.2 * t) * t).sin() for f in (220, 500, 900)])


def test_moving_content_changes_conv_frames_by_nothing(upstream, tones):
    encode = HiddenStates(upstream)
    states = encode(tones)
    assert list(states) == ["conv", "0", "1"]
    found = shift_changes(encode, tones, states, dict.fromkeys(states, 1.0), [2, 10])
    assert max(found["conv"]["before"] + found["conv"]["after"]) < 1e-9
    assert min(found["0"]["before"]) > 1e-6  # the position convolution looks into the silence
    # The same with one frame's worth too much must not be the same: frames are really moved back
    wrong = encode(torch.nn.functional.pad(tones, (320, 0)))["conv"][:, : states["conv"].shape[1]]
    assert (wrong - states["conv"]).square().mean() > 1e-6


def test_compare_is_the_criterion_without_its_perturbation(upstream, tones):
    inf = tones + 0.02 * torch.randn(tones.shape, generator=torch.Generator().manual_seed(1))
    lengths = torch.full((3,), 8000)
    for criterion in (
        SSLMSELoss(upstream),
        SSLMSELoss(upstream, normalize_frames=True),
        SSLMSEPadLoss(upstream, share=[0.0, 0.0]),
        SSLSinkhornLoss(upstream),
        SSLSoftDTWLoss(upstream, speeds=[1.0]),
        SSLSoftDTWLoss(upstream, speeds=[1.0], scale="none", projection=4, divergence=False),
    ):
        expected = criterion(tones, inf, lengths).detach().numpy()
        np.testing.assert_allclose(compare(criterion, tones, inf), expected, rtol=1e-4)
        assert not np.allclose(compare(criterion, tones, inf, 5), expected, rtol=1e-6)


def test_distance_grows_with_noise(upstream, tones):
    noise = speech_shaped_noise(tones)
    torch.testing.assert_close(noise.square().mean(1), tones.square().mean(1))
    torch.testing.assert_close(
        torch.fft.rfft(noise)[:, 1:-1].abs() / noise.norm(dim=1, keepdim=True),
        torch.fft.rfft(tones)[:, 1:-1].abs() / tones.norm(dim=1, keepdim=True),
        atol=1e-3,
        rtol=1e-2,
    )
    found = noise_monotony(HiddenStates(upstream), tones, noise, (20, 10, 0))
    assert all(np.all(np.diff(row["distance"]) > 0) for row in found.values())
    assert all(0.5 < row["spearman"] <= 1 for row in found.values())


def test_command_writes_table_figure_and_numbers(upstream, tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = {"wav": [], "spk1": []}
    for k in range(40):
        n = int(rng.integers(9000, 14000))
        t = np.arange(n) / 16000
        speech = 0.1 * np.sin(2 * np.pi * (rng.uniform(150, 1500) + 300 * np.sin(9 * t)) * t)
        for key, x in (("spk1", speech), ("wav", speech + 0.02 * rng.standard_normal(n))):
            soundfile.write(tmp_path / f"{key}{k}.wav", x, 16000)
            lines[key].append(f"utt{k:02d} {tmp_path}/{key}{k}.wav\n")
    for key, rows in lines.items():
        (tmp_path / f"{key}.scp").write_text("".join(rows))
    out = tmp_path / "out"
    options = ["--utterances", "12", "--seconds", "1", "--hops", "1", "4", "--steps", "3"]
    with pytest.raises(SystemExit, match="gap 50"):  # a stretch is no longer than what counts as elsewhere
        main(["--upstream", upstream, "--data", str(tmp_path), "--output-dir", str(out), *options])
    options[3] = "1.5"
    with pytest.raises(SystemExit, match="have 74 frames: gap 50 and hops 1 74 must be less"):
        main(["--upstream", upstream, "--data", str(tmp_path), "--output-dir", str(out), *options[:6], "74"])
    main(["--upstream", upstream, "--data", str(tmp_path), "--output-dir", str(out), *options])
    assert "| hidden state | R² of the frame index" in capsys.readouterr().out
    result = json.loads((out / "probe.json").read_text())
    assert result["noise"] == "of the data" and result["segments"] == 12
    assert set(result["states"]) == {"log-mel", "conv", "0", "1"}
    assert all(row["fall"][0] > 0 for row in result["exploit"].values()) and len(result["exploit"]) == 3
    assert (out / "probe.png").read_bytes().startswith(b"\x89PNG")
    (out / "probe.md").unlink()
    main(["--upstream", upstream, "--data", str(tmp_path), "--output-dir", str(out), *options])
    assert capsys.readouterr().out.startswith("# Position probe") and (out / "probe.md").exists()
    assert json.loads((out / "probe.json").read_text()) == result  # seconds too
    assert read_probe(out, result["inputs"]) == result
    assert read_probe(out, result["inputs"] | {"audio": ["others"]}) is None
    settings = Settings(**result["settings"])
    assert inputs(upstream, tmp_path, settings) == result["inputs"]
    soundfile.write(tmp_path / "spk17.wav", np.zeros(9000), 16000)  # made anew under the same name
    assert inputs(upstream, tmp_path, settings) != result["inputs"]
    (tmp_path / "spk1.scp").write_text("".join(lines["spk1"][:-1]))
    with pytest.raises(SystemExit, match=r"1 utterances of wav\.scp are missing"):
        main(["--upstream", upstream, "--data", str(tmp_path), "--output-dir", str(out), *options])


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        *(("--seconds", value, "number") for value in ("-0.5", "nan")),
        *((option, "0", "whole number") for option in ("--steps", "--utterances", "--hops")),
        ("--hops", "-1", "whole number"),
    ],
)
def test_options_without_meaning(tmp_path, capsys, option, value, kind):
    with pytest.raises(SystemExit):
        main(["--upstream", "x", "--data", str(tmp_path), "--output-dir", f"{tmp_path}/o", option, value])
    assert f"argument {option}: expected a {kind} above 0, got {value!r}" in capsys.readouterr().err


def test_few_segments_are_told_before_anything_is_read():
    message = r"1 segments of speech \(--utterances\): 8 or more are needed"
    with pytest.raises(DataError, match=message):
        probe("x:y", "nowhere", Settings(utterances=1))


def test_of_a_large_corpus_an_hour_is_read(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("wav", "spk1"):
        paths = {f"utt{i}": tmp_path / f"{name}{i}.wav" for i in range(9)}
        for path in paths.values():
            soundfile.write(path, 0.1 * rng.standard_normal(8000), 16000)
        (tmp_path / f"{name}.scp").write_text("".join(f"{key} {path}\n" for key, path in paths.items()))
    speech, noise = read_speech(tmp_path, 16000)
    assert len(speech) == len(noise) == 9
    monkeypatch.setattr(hidden, "READ", 1.7)
    few, noise = read_speech(tmp_path, 16000)
    assert len(few) == len(noise) == 4 and few.keys() < speech.keys()
    for key, samples in few.items():
        np.testing.assert_array_equal(samples, speech[key])
        np.testing.assert_allclose(
            samples + noise[key], soundfile.read(tmp_path / f"wav{key[3:]}.wav")[0], atol=1e-6
        )
    (tmp_path / "spk1.scp").unlink()
    alone, noise = read_speech(tmp_path, 16000)
    assert noise is None and len(alone) == 4
