"""A real Slurm and a real Grid Engine, private to the tests; skipped with the reason where there is none."""

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
