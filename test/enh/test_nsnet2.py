import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from espnet_posinv.enh.nsnet2 import NSNet2Separator
from espnet_posinv.enh.nsnet2_import import SHAPES, gain_difference, import_nsnet2, read_weights

DOWNLOADS = Path(os.environ.get("POSINV_DOWNLOADS", Path(__file__).parents[2] / "egs2/mini_debian/downloads"))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return NSNet2Separator(1, gru_size=24, linear_size=32).eval()


def enhance(separator, wavs, width=None):
    lengths = torch.tensor([len(wav) for wav in wavs])
    batch = torch.full((len(wavs), width or int(lengths.max())), 0.7)  # padding that would be heard
    for row, wav in zip(batch, wavs, strict=True):
        row[: len(wav)] = torch.as_tensor(wav)
    with torch.no_grad():
        (out,), out_lengths, _ = separator(batch, lengths)
    assert torch.equal(out_lengths, lengths)
    return out


def numpy_nsnet2(state, wav):
    """The published inference code's steps, one frame at a time, in float64."""
    w = {name: value.double().numpy() for name, value in state.items()}
    units = w["gru.weight_hh_l0"].shape[1]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def gru_cell(layer, x, h):
        gates_x = w[f"gru.weight_ih_l{layer}"] @ x + w[f"gru.bias_ih_l{layer}"]
        gates_h = w[f"gru.weight_hh_l{layer}"] @ h + w[f"gru.bias_hh_l{layer}"]
        reset = sigmoid(gates_x[:units] + gates_h[:units])
        update = sigmoid(gates_x[units : 2 * units] + gates_h[units : 2 * units])
        new = np.tanh(gates_x[2 * units :] + reset * gates_h[2 * units :])
        return (1 - update) * new + update * h

    def linear(name, x):
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    window = np.sqrt(np.hanning(320))
    frames = -(-len(wav) // 160) + 1
    signal = np.concatenate([np.zeros(160), wav, np.zeros(320)])[: (frames + 1) * 160]
    out, weight = np.zeros_like(signal), np.zeros_like(signal)
    h0, h1 = np.zeros(units), np.zeros(units)
    for n in range(frames):
        part = slice(160 * n, 160 * n + 320)
        spectrum = np.fft.rfft(window * signal[part])
        x = np.log10(np.maximum(np.abs(spectrum) ** 2, 1e-12))
        h0 = gru_cell(0, np.maximum(linear("linear_in", x), 0), h0)
        h1 = gru_cell(1, h0, h1)
        x = np.maximum(linear("linear2", np.maximum(linear("linear1", h1), 0)), 0)
        gain = np.maximum(sigmoid(linear("linear_out", x)), 1e-4)
        out[part] += window * np.fft.irfft(gain * spectrum)
        weight[part] += window**2
    return (out[160:] / weight[160:].clip(1e-12))[: len(wav)]


@pytest.mark.parametrize("samples", [100, 320, 1599, 1600, 1601, 4000])
def test_equals_frame_by_frame_numpy(small, samples):
    wav = 0.1 * np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    out = enhance(small, [wav])[0].numpy()
    np.testing.assert_allclose(out, numpy_nsnet2(small.state_dict(), wav), atol=2e-6)


def test_batch_and_padding_do_not_matter(small):
    # Every residue class of the hop that could matter, in one batch with audible padding.
    rng = np.random.default_rng(1)
    wavs = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (3200, 3199, 3041, 3040, 3039, 161, 50)]
    batch = enhance(small, wavs, width=4321)
    for wav, row in zip(wavs, batch, strict=True):
        alone = enhance(small, [wav])[0]
        torch.testing.assert_close(row[: len(wav)], alone, rtol=0, atol=1e-6)
        assert torch.all(row[len(wav) :] == 0)


def test_open_gain_reconstructs_the_input(small):
    torch.nn.init.constant_(small.linear_out.bias, 60.0)
    torch.nn.init.zeros_(small.linear_out.weight)
    wav = 0.3 * np.random.default_rng(2).standard_normal(2345).astype(np.float32)
    np.testing.assert_allclose(enhance(small, [wav])[0].numpy(), wav, atol=1e-6)


def test_closed_gain_stops_at_minus_80_db(small):
    torch.nn.init.constant_(small.linear_out.bias, -60.0)
    torch.nn.init.zeros_(small.linear_out.weight)
    wav = 0.3 * np.random.default_rng(2).standard_normal(2345).astype(np.float32)
    np.testing.assert_allclose(enhance(small, [wav])[0].numpy(), 1e-4 * wav, atol=1e-9)


def test_causal_up_to_one_frame(small):
    wav = 0.1 * np.random.default_rng(3).standard_normal(8000).astype(np.float32)
    changed = wav.copy()
    changed[4000:] *= -2
    a, b = enhance(small, [wav, changed])
    assert torch.allclose(a[: 4000 - 320], b[: 4000 - 320], atol=1e-7)
    assert (a[4000:] - b[4000:]).abs().max() > 1e-3


def test_gradient_is_finite_on_silence(small):
    wav = torch.zeros(2, 1600)
    wav[0, 800:] = 0.1 * torch.randn(800, generator=torch.Generator().manual_seed(0))
    wav.requires_grad_()
    small.train()
    (out,), _, _ = small(wav, torch.tensor([1600, 1000]))
    out.square().sum().backward()
    for name, parameter in [("input", wav), *small.named_parameters()]:
        assert torch.isfinite(parameter.grad).all(), name
    assert small.gru.weight_hh_l0.grad.abs().max() > 0
    assert torch.all(wav.grad[1, 1000:] == 0)


def test_errors_name_the_fix():
    with pytest.raises(ValueError, match="161 features a frame: set 'encoder: same'"):
        NSNet2Separator(161)
    with pytest.raises(ValueError, match=r"even, .* not 321"):
        NSNet2Separator(1, n_fft=321)
    with pytest.raises(ValueError, match=r"one channel, \(B, T\), not shape \(1, 1600, 2\)"):
        NSNet2Separator(1, gru_size=8, linear_size=8)(torch.zeros(1, 1600, 2), torch.tensor([1600]))


def write_onnx(path, **changed):
    """A graph with NSNet2's operators and weight names, random weights; `changed` replaces weights."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {name: (rng.standard_normal(shape) * 0.05).astype("f") for name, shape in SHAPES.items()}
    weights = {name: value for name, value in (weights | changed).items() if value is not None}
    constants = {"axis1": np.array([1], dtype=np.int64)}
    node = helper.make_node
    nodes = [
        node("MatMul", ["input", "172"], ["a0"]),
        node("Add", ["a0", "fc_in.0.bias"], ["a1"]),
        node("Relu", ["a1"], ["a2"]),
        node("Transpose", ["a2"], ["b0"], perm=[1, 0, 2]),
        node("GRU", ["b0", "192", "193", "194"], ["b1"], hidden_size=400, linear_before_reset=1),
        node("Squeeze", ["b1", "axis1"], ["b2"]),
        node("GRU", ["b2", "212", "213", "214"], ["b3"], hidden_size=400, linear_before_reset=1),
        node("Squeeze", ["b3", "axis1"], ["b4"]),
        node("Transpose", ["b4"], ["c0"], perm=[1, 0, 2]),
        node("MatMul", ["c0", "215"], ["c1"]),
        node("Add", ["c1", "fc_out.0.bias"], ["c2"]),
        node("Relu", ["c2"], ["c3"]),
        node("MatMul", ["c3", "216"], ["c4"]),
        node("Add", ["c4", "fc_out.2.bias"], ["c5"]),
        node("Relu", ["c5"], ["c6"]),
        node("MatMul", ["c6", "217"], ["c7"]),
        node("Add", ["c7", "fc_out.4.bias"], ["c8"]),
        node("Sigmoid", ["c8"], ["output"]),
    ]
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "frames", 161])
        for name in ("input", "output")
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights | constants).items()]
    graph = helper.make_graph(nodes, "nsnet2", value[:1], value[1:], initializer=tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def test_import_equals_onnxruntime(tmp_path):
    path = write_onnx(tmp_path / "model.onnx")
    assert import_nsnet2(path, tmp_path / "exp") < 1e-5
    state = torch.load(tmp_path / "exp/model.pth", weights_only=True)
    separator = NSNet2Separator(1)
    separator.load_state_dict({name.removeprefix("separator."): value for name, value in state.items()})
    assert sorted(p.name for p in (tmp_path / "exp").iterdir()) == ["config.yaml", "model.pth"]


def test_import_notices_another_graph(tmp_path):
    # Gate order swapped: every name and shape is right, the function is not.
    path = write_onnx(tmp_path / "model.onnx")
    separator = NSNet2Separator(1).eval()
    state = read_weights(path)
    state["gru.weight_hh_l0"] = state["gru.weight_hh_l0"].roll(400, 0)
    separator.load_state_dict(state)
    wav = 0.1 * np.random.default_rng(0).standard_normal(4000)
    assert gain_difference(separator, path, wav) > 1e-3
    with pytest.raises(ValueError, match=r"differ from onnxruntime's by .* > 0; the graph is not NSNet2's"):
        import_nsnet2(path, tmp_path / "exp", tolerance=0)
    assert not (tmp_path / "exp").exists()


def test_import_refuses_other_models(tmp_path):
    wide = write_onnx(tmp_path / "wide.onnx", **{"172": np.zeros((513, 600), "f"), "217": None})
    with pytest.raises(ValueError) as error:
        read_weights(wide)
    assert "172: expected (161, 400), found (513, 600)" in str(error.value)
    assert "217: expected (600, 161), found nothing" in str(error.value)
    assert "fc_in" not in str(error.value)
    (tmp_path / "text.onnx").write_text("no protobuf at all")
    with pytest.raises(ValueError, match=r"text\.onnx is not an onnx model"):
        read_weights(tmp_path / "text.onnx")
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "absent.onnx")


def test_command(tmp_path, capsys):
    from espnet_posinv.cli import command

    main = command("import-nsnet2")

    path = write_onnx(tmp_path / "model.onnx")
    main(["--onnx", str(path), "--output-dir", str(tmp_path / "exp")])
    assert "of onnxruntime" in capsys.readouterr().out
    before = (tmp_path / "exp/model.pth").read_bytes()
    main(["--onnx", str(path), "--output-dir", str(tmp_path / "exp")])  # the same again
    other = write_onnx(tmp_path / "other.onnx", **{"fc_in.0.bias": np.ones(400, "f")})
    with pytest.raises(SystemExit, match=r"exp/config\.yaml: of another model.*name another --output-dir"):
        main(["--onnx", str(other), "--output-dir", str(tmp_path / "exp")])
    assert (tmp_path / "exp/model.pth").read_bytes() == before
    with pytest.raises(SystemExit, match=r"posinv import-nsnet2: .*absent\.onnx"):
        main(["--onnx", str(tmp_path / "absent.onnx"), "--output-dir", str(tmp_path / "exp")])


def test_published_weights_on_real_audio():
    from espnet_posinv.corpora.audio import read_audio

    path = next(DOWNLOADS.rglob("nsnet2-20ms-baseline.onnx"), None)
    prompt = next(DOWNLOADS.rglob("agent-pass.g722"), None)
    if path is None or prompt is None:
        pytest.skip(f"no nsnet2-20ms-baseline.onnx or no prompts under {DOWNLOADS}: stage 1 fetches them")
    separator = NSNet2Separator(1).eval()
    separator.load_state_dict(read_weights(path))
    assert gain_difference(separator, path, read_audio(prompt)) < 1e-5


def test_trains_and_enhances_through_espnet(tmp_path, monkeypatch):
    import yaml
    from espnet2.bin import enh_inference, enh_train
    from espnet2.tasks.enh import separator_choices

    monkeypatch.setitem(separator_choices.classes, "nsnet2", NSNet2Separator)
    rng = np.random.default_rng(0)
    scp, shape = [], []
    for k, samples in enumerate((8000, 6001)):
        sf.write(tmp_path / f"{k}.wav", 0.1 * rng.standard_normal(samples), 16000)
        scp.append(f"utt{k} {tmp_path}/{k}.wav\n")
        shape.append(f"utt{k} {samples}\n")
    (tmp_path / "wav.scp").write_text("".join(scp))
    (tmp_path / "shape").write_text("".join(shape))
    import_nsnet2(write_onnx(tmp_path / "model.onnx"), tmp_path / "pretrained")
    criterion = {"name": "si_snr", "conf": {}, "wrapper": "fixed_order", "wrapper_conf": {"weight": 1.0}}
    config = {"encoder": "same", "separator": "nsnet2", "decoder": "same", "criterions": [criterion]}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    cmd = ["--config", f"{tmp_path}/train.yaml", "--output_dir", f"{tmp_path}/exp", "--ngpu", "0"]
    cmd += ["--max_epoch", "1", "--batch_size", "2", "--num_workers", "0", "--fold_length", "80000"]
    cmd += ["--init_param", f"{tmp_path}/pretrained/model.pth"]
    for part in ("train", "valid"):
        cmd += [f"--{part}_shape_file", f"{tmp_path}/shape"]
        for name in ("speech_mix", "speech_ref1"):
            cmd += [f"--{part}_data_path_and_name_and_type", f"{tmp_path}/wav.scp,{name},sound"]
    enh_train.main(cmd=cmd)
    before = torch.load(tmp_path / "pretrained/model.pth", weights_only=True)
    after = torch.load(tmp_path / "exp/valid.loss.best.pth", weights_only=True)
    assert before.keys() == after.keys()
    moved = (before["separator.linear1.bias"] - after["separator.linear1.bias"]).abs().max()
    assert 0 < moved < 0.01  # started from the pretrained weights, and took a step of Adadelta

    enh_inference.main(
        cmd=f"--fs 16k --train_config {tmp_path}/pretrained/config.yaml --output_dir {tmp_path}/out "
        f"--model_file {tmp_path}/pretrained/model.pth --key_file {tmp_path}/wav.scp "
        f"--data_path_and_name_and_type {tmp_path}/wav.scp,speech_mix,sound --output_format wav".split()
    )
    separator = NSNet2Separator(1).eval()
    separator.load_state_dict(read_weights(tmp_path / "model.onnx"))
    for k in range(2):
        noisy, _ = sf.read(tmp_path / f"{k}.wav", dtype="float32")
        enhanced, rate = sf.read(tmp_path / f"out/wavs/1/utt{k}.wav", dtype="float32")
        assert rate == 16000
        np.testing.assert_allclose(enhanced, enhance(separator, [noisy])[0].numpy(), atol=1e-4)  # PCM 16


def test_import_refuses_a_file_without_one_of_its_weights(tmp_path):
    for name in SHAPES:
        write_onnx(tmp_path / "model.onnx", **{name: None})
        with pytest.raises(ValueError, match=f"  {re.escape(name)}: .* found nothing"):
            read_weights(tmp_path / "model.onnx")
