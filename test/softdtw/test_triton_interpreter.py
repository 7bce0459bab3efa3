"""Runs interpreted_triton.py in a process of its own: Triton reads TRITON_INTERPRET when it is imported."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from espnet_posinv.softdtw import backends

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="no Triton (it comes with torch's CUDA wheels)"
)


@needs_triton
def test_products_in_the_interpreter():
    cases = Path(__file__).with_name("interpreted_triton.py")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(cases)]
    env = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout and "skipped" not in run.stdout, run.stdout


@needs_triton
def test_a_card_for_which_triton_cannot_compile_takes_float32(monkeypatch):
    """Without a C compiler, say; here what fails is that there is no such card."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with pytest.warns(UserWarning, match="slower matrix products in float32 are used, since Triton fails: "):
        assert not backends._has_tensor_cores.__wrapped__(99)
