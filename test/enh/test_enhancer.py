"""Waveform in, waveform out: lengths, rates, segments, the mix, files, and what is refused."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import yaml

import espnet_posinv
from espnet_posinv.cli import command
from espnet_posinv.enh.enhancer import Enhancer, cut, fade


class Half(torch.nn.Module):
    """A model whose output is known: half of its input."""

    num_spk, normalize_variance, normalize_variance_per_ch = 1, False, False

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))
        self.seen = []

    def forward_enhance(self, wav, lengths, additional):
        self.seen.append(tuple(wav.shape))
        return [self.gain * wav], None, None, None


def cut_off(path):
    soundfile.write(path, sound(8000), 16000)
    path.write_bytes(path.read_bytes()[:4000])


def sound(samples, rate=16000):
    return (0.3 * np.sin(2 * np.pi * 300 * np.arange(samples) / rate)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory):
    """An experiment as training leaves it."""
    from espnet_posinv.enh.task import PosinvEnhancementTask

    root = tmp_path_factory.mktemp("exp")
    path = config(root / "train.yaml", {"ssl_mse": {"upstream": "transformers:/not/here"}})
    args = PosinvEnhancementTask.get_parser().parse_args(["--config", str(path), "--output_dir", str(root)])
    torch.manual_seed(0)
    model = PosinvEnhancementTask.build_model(args)
    (root / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    torch.save(model.state_dict(), root / "valid.loss.best.pth")
    return root


@pytest.mark.parametrize(
    ("length", "segment", "overlap"),
    [(1, 10, 2), (10, 10, 2), (11, 10, 2), (18, 10, 2), (25, 10, 5), (999, 100, 0), (1000, 100, 50)],
)
def test_pieces_cover_everything_and_their_weights_sum_to_one(length, segment, overlap):
    total = np.zeros(length)
    for start, stop in cut(length, segment, overlap):
        assert 0 <= start < stop <= length and stop - start <= segment
        total[start:stop] += fade(start, stop, length, overlap)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_any_length_comes_back_in_segments_of_bounded_size():
    model = Half()
    wav = sound(50000)
    out = Enhancer(model, segment=1.0, overlap=0.25, batch_size=3)(wav)
    np.testing.assert_allclose(out, 0.5 * wav, atol=1e-6)
    assert out.dtype == np.float32 and max(s[1] for s in model.seen) == 16000 and model.seen[0][0] == 3


@pytest.mark.parametrize("wet", [0.0, 0.25, 1.0])
def test_dry_wet_mix(wet):
    wav = sound(8000)
    np.testing.assert_allclose(Enhancer(Half())(wav, wet=wet), (0.5 * wet + 1 - wet) * wav, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_sample_rates_are_converted_there_and_back(rate):
    model = Half()
    wav = sound(rate + 7, rate)
    out = Enhancer(model)(wav, rate)
    assert len(out) == len(wav) and abs(model.seen[0][1] - 16000) < 20
    np.testing.assert_allclose(out[500:-500], 0.5 * wav[500:-500], atol=2e-3)


def test_a_list_is_a_batch_and_each_utterance_as_if_alone(folder):
    wavs = [sound(9000), sound(16000)[::-1].copy(), sound(4321) ** 3]
    enhancer = Enhancer.from_pretrained(folder, batch_size=3)
    for together, wav in zip(enhancer(wavs), wavs, strict=True):
        np.testing.assert_allclose(together, enhancer(wav), atol=1e-6)
        assert len(together) == len(wav)


def test_the_same_as_espnets_inference(folder):
    """On a configuration with criterions whose encoder is not there: it is never loaded."""
    from espnet2.bin import enh_inference

    from espnet_posinv.enh.register import install

    install(enh_inference)
    theirs = enh_inference.SeparateSpeech(folder / "config.yaml", folder / "valid.loss.best.pth")
    wav = sound(12345)
    ours = espnet_posinv.Enhancer.from_pretrained(str(folder))(wav)
    np.testing.assert_allclose(ours, np.asarray(theirs(wav[None], fs=16000)[0])[0], atol=1e-6)


def test_files_in_files_out(folder, tmp_path, capsys):
    for name, rate in (("a", 16000), ("b", 8000)):
        soundfile.write(tmp_path / f"{name}.wav", sound(rate, rate), rate)
    (tmp_path / "wav.scp").write_text(f"utt-b {tmp_path}/b.wav\nutt-a {tmp_path}/a.wav\n")
    out = tmp_path / "out"
    command("enhance")([str(folder), str(tmp_path / "wav.scp"), "--output-dir", str(out), "--wet", "0.5"])
    assert (out / "wav.scp").read_text() == f"utt-a {out}/utt-a.wav\nutt-b {out}/utt-b.wav\n"
    written, rate = soundfile.read(out / "utt-b.wav", dtype="float32")
    wav, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    assert rate == 8000 and soundfile.info(out / "utt-b.wav").subtype == "PCM_16"
    expected = Enhancer.from_pretrained(folder)(wav, 8000, wet=0.5)
    np.testing.assert_allclose(written, expected, atol=1e-4)
    assert "a.wav -> " in capsys.readouterr().out and not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_text("no audio"), "x.wav: cannot be read as audio"),
        (lambda p: soundfile.write(p, np.zeros(0), 16000), "x.wav: holds no sample"),
        (
            lambda p: soundfile.write(p, np.array([0.0, 1.0, np.nan]), 16000, subtype="FLOAT"),
            "x.wav: sample 2 is [nan], not a finite number",
        ),
        (lambda p: None, "x.wav: No such file"),
        (cut_off, "x.wav: cut off: "),
    ],
)
def test_bad_recordings_are_named_and_the_others_go_on(folder, tmp_path, capsys, make, message):
    make(tmp_path / "x.wav")
    soundfile.write(tmp_path / "y.wav", sound(800), 16000)
    files = [str(tmp_path / name) for name in ("x.wav", "y.wav")]
    with pytest.raises(SystemExit, match="1 recordings were not enhanced: x"):
        command("enhance")([str(folder), *files, "--output-dir", str(tmp_path / "out")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["wav.scp", "y.wav"]
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1
    assert (tmp_path / "out/wav.scp").read_text() == f"y {tmp_path}/out/y.wav\n"


@pytest.mark.parametrize(
    "inputs", [["rec/x.wav"], ["rec"], ["rec/wav.scp"], ["linked/x.wav"], ["hard.wav"], ["pipe.scp"]]
)
def test_input_is_never_overwritten(folder, tmp_path, monkeypatch, inputs):
    monkeypatch.chdir(tmp_path)
    os.mkdir("rec")
    soundfile.write("rec/x.wav", sound(800), 16000)
    (tmp_path / "rec/wav.scp").write_text(f"u {tmp_path}/rec/x.wav\n")
    (tmp_path / "pipe.scp").write_text("x cat rec/x.wav |\n")
    os.symlink("rec", "linked")
    os.link("rec/x.wav", "hard.wav")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    out = "." if inputs == ["hard.wav"] else "rec"
    with pytest.raises(SystemExit, match=r"would replace the input .*: give another --output-dir"):
        command("enhance")([str(folder), *inputs, "--output-dir", out])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_folders_with_blanks_and_pipes_and_standard_input(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "rec/a b").mkdir(parents=True)
    soundfile.write(tmp_path / "rec/a b/c d.wav", sound(800), 16000)
    soundfile.write(tmp_path / "rec/e.flac", sound(900), 8000)
    (tmp_path / "rec/notes.txt").write_text("none")
    (tmp_path / "wav.scp").write_text(f"piped cat {tmp_path}/rec/e.flac |\n")
    content = io.BytesIO((tmp_path / "rec/e.flac").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    out = tmp_path / "out"
    inputs = [str(tmp_path / "rec"), str(tmp_path / "wav.scp"), "-"]
    assert command("enhance")([str(folder), *inputs, "--output-dir", str(out)]) == 0
    files = {"a_b-c_d": "a b/c d.wav", "e": "e.wav", "piped": "piped.wav", "stdin": "stdin.wav"}
    assert (out / "wav.scp").read_text() == "".join(f"{key} {out}/{file}\n" for key, file in files.items())
    assert soundfile.info(out / "a b/c d.wav").frames == 800
    piped, rate = soundfile.read(out / "piped.wav")
    assert rate == 8000 and (soundfile.read(out / "stdin.wav")[0] == piped).all() and len(piped) == 900


def test_from_the_command_line_only_its_own_lines_are_seen(folder, tmp_path):
    soundfile.write(tmp_path / "x.wav", sound(800), 16000)
    files = [str(tmp_path / "x.wav"), str(tmp_path / "y.wav")]
    command = [sys.executable, "-m", "espnet_posinv", "enhance", str(folder), *files]
    done = subprocess.run([*command, "--output-dir", str(tmp_path / "out")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == f"{tmp_path}/x.wav -> {tmp_path}/out/x.wav\n"
    assert len(done.stderr.splitlines()) == 2 and all(
        "enhance: " in line for line in done.stderr.splitlines()
    )


def test_channels_one_by_one_or_one_of_them(folder, tmp_path):
    both = np.stack([sound(1000), sound(1000)[::-1]], axis=1)
    soundfile.write(tmp_path / "x.wav", both, 16000)
    call = [str(folder), str(tmp_path / "x.wav"), "--output-dir"]
    command("enhance")([*call, str(tmp_path / "all")])
    command("enhance")([*call, str(tmp_path / "two"), "--channel", "2"])
    every, _ = soundfile.read(tmp_path / "all/x.wav")
    second, _ = soundfile.read(tmp_path / "two/x.wav")
    assert every.shape == (1000, 2) and (every[:, 1] == second).all() and (every[:, 0] != second).any()
    enhancer = Enhancer.from_pretrained(folder)
    stored, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    np.testing.assert_allclose(second, enhancer(stored[:, 1]), atol=1e-4)
    with pytest.raises(SystemExit, match="not enhanced: x"):
        command("enhance")([*call, str(tmp_path / "three"), "--channel", "3"])


def test_three_samples(folder):
    assert Enhancer.from_pretrained(folder)(sound(3)).shape == (3,)


def test_nothing_to_do_and_no_gpu_are_one_line(folder, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="no audio file in this folder"):
        command("enhance")([str(folder), str(tmp_path), "--output-dir", str(tmp_path / "out")])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="device cuda: torch finds none here; cpu works everywhere"):
        Enhancer.from_pretrained(folder, device="cuda")


def test_tensors_and_16_bit_integers(folder):
    enhancer = Enhancer.from_pretrained(folder)
    wav = sound(900)
    expected = enhancer(wav)
    tensor = enhancer(torch.from_numpy(wav))
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), expected)
    integers = np.round(wav * 32768).astype(np.int16)
    np.testing.assert_allclose(enhancer(integers), expected, atol=1e-3)
    np.testing.assert_array_equal(enhancer(torch.from_numpy(integers)).numpy(), enhancer(integers))
    np.testing.assert_array_equal(enhancer(integers.astype(">i2")), enhancer(integers))
    assert enhancer([]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "tpu"], "device tpu: torch finds none here; cpu works"),
        (["--batch-size", "0"], "batch size 0: each must be above 0"),
        (["--sample-rate", "0"], "sample rate 0, batch size 1: each must be above 0"),
        (["--wet", "2"], "wet 2.0: a share between 0"),
    ],
)
def test_wrong_options_are_told_once_before_any_recording(folder, tmp_path, options, message, capsys):
    with pytest.raises(SystemExit, match=message):
        command("enhance")([str(folder), "absent.wav", "--output-dir", str(tmp_path / "out"), *options])
    assert "absent.wav" not in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_missing_and_foreign_models_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"no model here; looked for .*config\.yaml"):
        Enhancer.from_pretrained(tmp_path)
    (tmp_path / "config.yaml").write_text("separator: rnn\nencoder: [\n")
    with pytest.raises(SystemExit, match=r"config.yaml:3: not YAML \(expected .*\); mend it"):
        command("enhance")([str(tmp_path), "absent.wav", "--output-dir", str(tmp_path / "out")])
    (tmp_path / "config.yaml").write_text((folder / "config.yaml").read_text())
    with pytest.raises(ValueError, match=r"no checkpoint; looked for valid\.loss\.best\.pth, model\.pth"):
        Enhancer.from_pretrained(tmp_path)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=r"model\.pth: broken, or not of the model in"):
        Enhancer.from_pretrained(tmp_path)
    (tmp_path / "model.pth").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"model\.pth: broken"):
        Enhancer.from_pretrained(tmp_path)
    (tmp_path / "model.pth").unlink()
    for name in ("valid.si_snr.best.pth", "valid.ssl_mse.best.pth"):
        torch.save({}, tmp_path / name)
    with pytest.raises(ValueError, match=r"which of valid\.si_snr\.best\.pth, valid\.ssl_mse\.best\.pth"):
        Enhancer.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("wav", "options", "message"),
    [
        (np.zeros(100, np.int32), {}, r"int32 \(100,\); one channel \(T,\) is needed, float in .* or int16"),
        (np.zeros((800, 2), np.float32), {}, r"shape \(800, 2\): one channel .*list\(wav.T\)"),
        (torch.zeros(2, 800), {}, r"shape \(2, 800\): one channel"),
        ([0.1, 0.2], {}, r"waveform 0: a float; make it an array, np.array\(samples\)"),
        ([[0.1, 0.2]], {}, "waveform 0: a list; make it an array"),
        (None, {}, r"a NoneType: an array \(T,\) is needed, or a list of such"),
        (np.zeros(100, np.float32), {"wet": 1.5}, "wet 1.5"),
    ],
)
def test_bad_arguments_are_refused(wav, options, message):
    with pytest.raises(ValueError, match=message):
        Enhancer(Half())(wav, **options)
    with pytest.raises(ValueError, match="at most half"):
        Enhancer(Half(), segment=1.0, overlap=0.6)


def test_a_folder_in_place_of_a_model_gets_the_remedy():
    with pytest.raises(ValueError, match=r"'exp/mine': a model is needed; Enhancer\.from_pretrained reads"):
        Enhancer("exp/mine")


def test_help_costs_no_imports():
    run = subprocess.run(
        [sys.executable, "-m", "espnet_posinv", "enhance", "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0 and "--wet WET" in run.stdout


@pytest.mark.parametrize("name", ["nsnet2_ssl_mse", "nsnet2_ssl_softdtw"])
def test_shipped_models_are_found_by_name_wherever_one_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noisy = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    clean = Enhancer.from_pretrained(name)(noisy, 16000)
    assert clean.shape == noisy.shape and 1e-3 < clean.std() < 0.9 * noisy.std()  # noise is what it removes
    with pytest.raises(ValueError, match=f"nsnet3: no model here.*by name there are .*{name}"):
        Enhancer.from_pretrained("nsnet3")
