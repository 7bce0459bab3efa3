"""The recipe's configurations: models of the published sizes that enhance, and fine-tuning laid over them."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from espnet2.iterators.chunk_iter_factory import ChunkIterFactory
from espnet2.train.collate_fn import CommonCollateFn

from espnet_posinv.espnet_compat import repair_chunk_iterator
from espnet_posinv.recipe.config import load
from espnet_posinv.ssl import SSLEncoder
from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2/librispeech_demand/enh1"
MODEL = ROOT / "egs2/mini_debian/ssl1/mini_hubert"
sys.path.insert(0, str(ROOT / "bench"))

import recipe_scale  # noqa: E402
import recipe_scale_common  # noqa: E402
import recipe_scale_gpu  # noqa: E402

# Millions of parameters: of Demucs as its authors give them (18.87, 33.53), of the others by counting.
SIZES = {
    "demucs48": (18.86, 18.88),
    "demucs64": (33.52, 33.54),
    "convtasnet": (3.3, 3.5),
    "bsrnn": (3.5, 4.2),
    "tfgridnet": (2.2, 2.7),
}


@pytest.mark.parametrize("model", SIZES)
def test_model_has_its_size_and_enhances(model):
    config = recipe_scale_common.configuration(model)
    network = recipe_scale_common.build(config).eval()
    low, high = SIZES[model]
    assert low < sum(p.numel() for p in network.parameters()) / 1e6 < high
    wav, lengths = 0.1 * torch.randn(1, 4000), torch.tensor([4000])
    with torch.no_grad():
        feature, frames = network.encoder(wav, lengths)
        enhanced, _ = network.decoder(network.separator(feature, frames)[0][0], lengths)
        loss, _, _ = network(wav, lengths, speech_ref1=wav, utt_id=["a"])
    assert enhanced.shape == wav.shape and torch.isfinite(enhanced).all() and torch.isfinite(loss)


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("criterion", ["ssl_mse", "ssl_mse_pad", "ssl_softdtw"])
def test_fine_tuning_keeps_the_architecture_and_makes_3600_updates(model, criterion):
    start, tuned = (
        recipe_scale_common.configuration(model),
        recipe_scale_common.configuration(model, criterion),
    )
    for key in (
        "encoder",
        "encoder_conf",
        "separator",
        "separator_conf",
        "decoder",
        "decoder_conf",
        "preprocessor",
    ):
        assert tuned.get(key) == start.get(key), key
    assert [c["name"] for c in tuned["criterions"]] == [criterion]
    assert tuned["optim_conf"]["lr"] < start["optim_conf"]["lr"] / 5
    assert tuned["max_epoch"] * tuned["num_iters_per_epoch"] / tuned["accum_grad"] == 3600
    seconds = tuned["batch_bins"] * tuned["accum_grad"] / 16000
    assert seconds == pytest.approx(8 * 12.8, rel=0.02)
    assert tuned["iterator_type"] == "sequence" and start["iterator_type"] == "chunk"


def test_batches_of_an_epoch_as_espnet_cuts_them():
    config = {**recipe_scale_common.configuration("demucs64"), "num_iters_per_epoch": 300}
    lengths = np.random.default_rng(0).integers(round(8.8 * 16000), round(16.8 * 16000), 400)

    class Utterances:
        def __getitem__(self, uid):
            return uid, {"speech_mix": np.zeros(lengths[int(uid)], np.float32)}

    repair_chunk_iterator()
    iterator = ChunkIterFactory(
        dataset=Utterances(),
        batches=[[str(k)] for k in range(len(lengths))],
        batch_size=config["batch_size"],
        chunk_length=config["chunk_length"],
        num_samples_per_epoch=config["num_iters_per_epoch"],
        collate_fn=CommonCollateFn(),
        shuffle=True,
    )
    found = [batch["speech_mix"].shape for _, batch in iterator.build_iter(1)]
    assert set(found) == {(32, 64000)}
    assert len(found) == pytest.approx(recipe_scale.epoch_batches(config), rel=0.05)


@pytest.mark.parametrize("model", SIZES)
def test_training_from_scratch_makes_1000_batches_an_epoch(model):
    assert recipe_scale.epoch_batches(recipe_scale_common.configuration(model)) == pytest.approx(
        1000, rel=0.02
    )


def test_band_split_covers_each_bin_once():
    bands = load(RECIPE / "conf/train_bsrnn.yaml")["separator_conf"]["subbands"]
    bins = [b for first, last in bands for b in range(first, last + 1)]
    assert bins == list(range(161)) and len(bands) == 27


def test_list_of_the_sweep():
    lines = (RECIPE / "conf/ssl_models.txt").read_text().splitlines()
    models = [line.split() for line in lines if line[0] != "#"]
    assert len({name for name, *_ in models}) == 6
    for name, encoder, *layers in models:
        kind = name.split("_")[0]
        assert encoder.startswith("transformers:") and kind in encoder and layers[0] == "-1"


@pytest.fixture
def sweep(tmp_path):
    """Runs local/sweep_ssl.sh on a list, with a run.sh that only notes what it is called with."""
    folder = tmp_path / "enh1"
    folder.mkdir()
    for name in ("conf", "local", "path.sh", "utils"):
        (folder / name).symlink_to(RECIPE / name)
    (folder / "run.sh").write_text('#!/bin/sh\necho "$@" >> calls\n')
    (folder / "run.sh").chmod(0o755)

    def run(text, *args):
        (folder / "list").write_text(text)
        command = [folder / "local/sweep_ssl.sh", "--list", "list", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        calls = folder / "calls"
        return done, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_sweep_trains_each_model_and_layer_and_ends_with_a_report(sweep):
    done, calls = sweep(f"# comment\nmini transformers:{MODEL} -1 conv\n\n", "--ngpu", "2")
    assert done.returncode == 0, done.stderr
    assert len(calls) == 3
    for layer, call in zip(("-1", "conv"), calls, strict=False):
        wanted = f"--layers {layer} --upstreams mini_layer{layer}=transformers:{MODEL}"
        assert call.endswith(f"--ngpu 2 --stage 5 --stop_stage 8 {wanted}")
    assert "--stage 9 --stop_stage 9" in calls[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "no model in it"),
        (f"mini transformers:{MODEL}\n", "mini: name, encoder and layers are needed"),
        (f"mini transformers:{MODEL} 3 7\n", "layer 7: the model has hidden states 0 to 6"),
        (f"mini transformers:{MODEL} 3\nbase transformers:/nowhere 3\n", "there is no such folder"),
    ],
)
def test_sweep_tries_all_models_before_it_trains_the_first(sweep, text, message):
    done, calls = sweep(text)
    assert done.returncode == 1 and message in done.stderr and not calls


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--train", "500"], "--train 500: 100 or 960"),
        (["--model=unet"], "no conf/train_unet.yaml; there are bsrnn convtasnet demucs48"),
        (["--model"], "--model has no value"),
    ],
)
def test_mistakes_stop_the_recipe(args, message):
    failed = subprocess.run([RECIPE / "run.sh", *args], capture_output=True, text=True)
    assert failed.returncode == 2 and message in failed.stderr


def test_misspelt_options_and_wrong_paths_stop_the_recipe():
    failed = subprocess.run([RECIPE / "run.sh", "--models", "bsrnn"], capture_output=True, text=True)
    assert failed.returncode == 1 and "there is no option --models" in failed.stderr
    env = {**os.environ, "WHISPER": "/nowhere"}
    failed = subprocess.run([RECIPE / "run.sh", "--list-stages"], capture_output=True, text=True, env=env)
    assert failed.returncode == 2 and "WHISPER is /nowhere, which does not exist" in failed.stderr
    env = {**os.environ, "DENOISER": __file__}
    failed = subprocess.run([RECIPE / "run.sh", "--list-stages"], capture_output=True, text=True, env=env)
    assert failed.returncode == 2 and "no checkpoint of denoiser: their names end with .th" in failed.stderr


def test_scale_table_multiplies_what_was_measured(tmp_path):
    origin = {"torch": "2.9", "revision": "abc1234"}
    # (3 sets of 5.4 h x 5 systems) recognised at 36 s an hour: 0.81 core-hours, on 2 cores 0.405 h
    (tmp_path / "cpu.json").write_text(
        json.dumps({**origin, "device": "a CPU", "recognise": 36.0, "mix": 36.0, "mixture bytes": 1e8})
    )
    gpu = {"batch": 0.36, "valid": 0.0, "audio": 102.4, "parameters": 10.0, "GiB": 20.0}
    names = ("train", "ssl_mse", "ssl_mse_pad", "ssl_softdtw")
    (tmp_path / "gpu.json").write_text(
        json.dumps({**origin, "device": "a GPU", **{f"demucs64 {n}": gpu for n in names}})
    )
    files = [str(tmp_path / "cpu.json"), str(tmp_path / "gpu.json")]
    args = argparse.Namespace(files=files, model="demucs64", cores=2, gpus=1, bandwidth=20.0)
    text = recipe_scale.table(args)
    assert text.startswith(
        "Measured on a CPU (torch 2.9, revision abc1234) and a GPU (torch 2.9, revision abc1234); for 2 cores"
    )
    row = re.search(r"\| 7 recognise with Whisper, 5 systems \| (.*) \|", text)[1]
    assert row == "- | 0.81 | - | 0.41"
    assert "| 4 train demucs64 | 0.2 | - | 5.1 | 5.1 |" in text  # 50531 batches; 5 x 40 MB
    assert "| 5 fine-tune, 3 criterions | 0.6 | - | 1.1 | 1.1 |" in text  # 3 x 3600 batches
    assert re.search(r"\| 6 enhance, 4 systems \| 7\.5 \| not measured \|", text)
    # 102.4 s of audio take a core 1.024 s, the GPU 0.36 s
    assert "| `demucs64` | 5.1 | 0.36 | 0.36 | 0.36 | 20 | 2.8 |" in text and "`bsrnn`" not in text
    assert text.index("LibriSpeech-100") < text.index("LibriSpeech-960")


def test_measured_trainings_are_what_the_table_reads(tmp_path, monkeypatch, capsys):
    def small(model, criterion=None):
        config = recipe_scale_common.configuration(model, criterion)
        config["separator_conf"]["hidden"] = 2
        return config | {"batch_size": 3, "chunk_length": 8000, "batch_bins": 12800}

    network = Wav2Vec2Network(Wav2Vec2Config(conv_dims=(8,) * 7, dim=16, heads=2, ffn_dim=16, num_layers=1))
    monkeypatch.setattr(recipe_scale_gpu, "configuration", small)
    monkeypatch.setattr(recipe_scale_gpu, "random_hubert", lambda: SSLEncoder(network, label="tiny"))
    monkeypatch.setattr(recipe_scale_gpu, "SECONDS", 0.8)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)  # and back again afterwards
    file = tmp_path / "figures.json"
    recipe_scale_gpu.measure(file, ["demucs48"], "cpu", time.monotonic() + 600)
    found = json.loads(file.read_text())
    assert found["torch"] == torch.__version__ and "revision" in found
    assert found["demucs48 train"]["audio"] == 1.5  # 3 x 8000 samples
    assert found["demucs48 ssl_softdtw"]["audio"] == 0.8  # 12800 samples
    assert all(found[f"demucs48 {c}"]["batch"] > 0 for c in recipe_scale_common.CRITERIONS)
    args = argparse.Namespace(files=[str(file)], model="demucs48", cores=2, gpus=1, bandwidth=20.0)
    assert re.search(
        r"\| 5 fine-tune, 3 criterions \| < 0.01 \| - \| (< )?[\d.]+ \|", recipe_scale.table(args)
    )

    recipe_scale_gpu.measure(tmp_path / "late.json", ["demucs48", "bsrnn"], "cpu", time.monotonic())
    assert "time is up: --models demucs48 bsrnn into another file" in capsys.readouterr().out
