"""Tiny encoders; a real Slurm and a real Grid Engine, private to the tests, skipped where there is none."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _engine(name, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip(f"{name} can only be started by root")
    directory = tmp_path_factory.mktemp(name)
    up = subprocess.run([ROOT / f"ci/{name}_up.sh", directory], capture_output=True, text=True, timeout=300)
    if up.returncode == 77:
        pytest.skip(up.stderr.strip().splitlines()[-1])
    assert up.returncode == 0, up.stderr
    # A killed pytest must not leave daemons behind.
    guard = f"while kill -0 {os.getpid()} 2>/dev/null; do sleep 2; done; {ROOT}/ci/{name}_down.sh {directory}"
    subprocess.Popen(["bash", "-c", guard], start_new_session=True, stdout=subprocess.DEVNULL)
    words = shlex.split(up.stdout.strip().splitlines()[-1])[1:]
    return directory, dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="session")
def slurm_engine(tmp_path_factory):
    directory, environment = _engine("slurm", tmp_path_factory)
    yield environment
    subprocess.run([ROOT / "ci/slurm_down.sh", directory], check=True, timeout=60)


@pytest.fixture(scope="session")
def sge_engine(tmp_path_factory):
    directory, environment = _engine("sge", tmp_path_factory)
    yield environment
    subprocess.run([ROOT / "ci/sge_down.sh", directory], check=True, timeout=60)


@pytest.fixture(scope="session")
def random_hubert(tmp_path_factory):
    """random_hubert(**config) -> ``transformers:FOLDER`` of a HuBERT, no parameter of it left at 0 or 1."""

    def make(**config):
        import torch
        from transformers import HubertConfig, HubertModel

        torch.manual_seed(0)
        model = HubertModel(HubertConfig(**config))
        with torch.no_grad():
            for p in model.parameters():
                p += 0.1 * torch.randn_like(p)
        path = tmp_path_factory.mktemp("hubert")
        model.save_pretrained(path)
        return f"transformers:{path}"

    return make
