"""Training of several nodes on a real Slurm, through espnet2.bin.launch and our entry to ESPnet's tools."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import yaml

EPOCHS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Options of a small training: noisy tones, 8 of them, and a tiny model."""
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    lines = {"wav": "", "spk1": "", "shape": ""}
    for i in range(8):
        clean = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 2000) * np.arange(8000) / 16000)
        for name, wave in (("spk1", clean), ("wav", clean + 0.05 * rng.standard_normal(8000))):
            soundfile.write(root / f"{name}{i}.wav", wave, 16000)
            lines[name] += f"u{i} {root}/{name}{i}.wav\n"
        lines["shape"] += f"u{i} 8000\n"
    for name, text in lines.items():
        (root / name).write_text(text)
    (root / "train.yaml").write_text(
        yaml.safe_dump(
            {
                "encoder": "same",
                "decoder": "same",
                "separator": "nsnet2",
                "separator_conf": {"gru_size": 12, "linear_size": 12},
                "criterions": [
                    {"name": "si_snr", "conf": {}, "wrapper": "fixed_order", "wrapper_conf": {"weight": 1.0}}
                ],
                "batch_type": "folded",
                "batch_size": 2,
                "optim": "adam",
                "max_epoch": EPOCHS,
                "num_workers": 0,
                "num_att_plot": 0,
                "use_tensorboard": False,
                "use_matplotlib": False,
                "best_model_criterion": [["valid", "loss", "min"]],
            }
        )
    )
    options = ["--config", str(root / "train.yaml"), "--fold_length", "80000", "--resume", "true"]
    for name in ("train", "valid"):
        options += [f"--{name}_data_path_and_name_and_type", f"{root}/wav,speech_mix,sound"]
        options += [f"--{name}_data_path_and_name_and_type", f"{root}/spk1,speech_ref1,sound"]
        options += [f"--{name}_shape_file", f"{root}/shape"]
    return options


POSINV = [sys.executable, "-m", "espnet_posinv", "-m"]


def two_nodes(slurm, data, options=""):
    """The command of a recipe's training stage, on two nodes."""
    return [
        *[
            *POSINV,
            "espnet2.bin.launch",
            "--cmd",
            f"{slurm.door} --mem 1800M {options}",
            "--log",
            "train.log",
        ],
        *["--ngpu", "0", "--num_nodes", "2", "--init_file_prefix", f"{slurm.directory}/.init_", "--"],
        *[*POSINV, "espnet2.bin.enh_train", *data, "--output_dir", f"{slurm.directory}/exp"],
    ]


def models(folder):
    return [torch.load(folder / f"{epoch}epoch.pth", weights_only=True) for epoch in range(1, EPOCHS + 1)]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """The same training by one process."""
    folder = tmp_path_factory.mktemp("alone")
    command = [*POSINV, "espnet2.bin.enh_train", *data, "--output_dir", str(folder), "--ngpu", "0"]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return models(folder)


def same(models, expected):
    """Each process has half of each batch, so sums are in another order: equal but for rounding."""
    for model, other in zip(models, expected, strict=True):
        for name in other:
            torch.testing.assert_close(model[name], other[name], rtol=1e-4, atol=1e-6)


def test_two_nodes_train_the_model_that_one_process_trains(slurm, data, undisturbed):
    result = subprocess.run(
        two_nodes(slurm, data), cwd=slurm.directory, env=slurm.environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    log = (slurm.directory / "train.log").read_text()
    assert "SLURM" not in result.stderr and f"{EPOCHS}epoch results" in log
    same(models(slurm.directory / "exp"), undisturbed)


@pytest.mark.slow
def test_two_nodes_warned_and_requeued_end_the_same(slurm, data, undisturbed):
    exp = slurm.directory / "exp"
    launcher = subprocess.Popen(
        two_nodes(slurm, data, "--requeue 60 --time 30"), cwd=slurm.directory, env=slurm.environment
    )
    number = slurm.job_number("train")
    slurm.wait_for((exp / "1epoch.pth").exists, 600)
    slurm.tool("scancel", "--batch", "--signal=USR1", number)  # what Slurm does before a time limit
    slurm.run_now(number)
    assert launcher.wait(600) == 0
    first = (slurm.directory / "train.log.attempt1").read_text()
    for rank in (0, 1):
        assert f"task {rank}: Exited with exit code 99" in first
    assert "Stopped within epoch" in first
    second = (slurm.directory / "train.log").read_text()
    assert "The training was resumed using" in second and "Resuming epoch" in second
    same(models(exp), undisturbed)
