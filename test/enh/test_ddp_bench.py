"""bench/ddp.py on the CPU: its checks hold for two processes with gloo, and it notices what fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench/ddp.py"


def run(*options):
    command = [sys.executable, BENCH, "--cpu", "--counts", "1,2", "--tiny", *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_two_processes_on_the_cpu(hubert, tmp_path):
    out = tmp_path / "ddp.json"
    done = run("--upstream", hubert, "--out", out)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    parts = {part["part"]: part for part in json.loads(out.read_text())["parts"]}
    assert len(parts) == 9 and all(part["ok"] for part in parts.values())
    for name in ("losses of ssl_softdtw on 2", "losses of ssl_mse on 2"):
        first, *later = parts[name]["largest_relative_difference_by_epoch"]
        assert 0 <= first < 1e-4 and len(later) == 2
    assert 0 <= parts["resume on 2"]["largest_relative_difference"] < 1e-4
    assert parts["losses of ssl_mse on 2"]["steps"] == 18
    assert parts["losses of ssl_mse on 2"]["loss_at_first"] != parts["losses of ssl_mse on 2"]["at_last"]
    assert parts["draws on 2"]["drawn_again_after_the_kill"] > 0
    assert parts["scaling of ssl_mse on 2"]["efficiency"] > 0


@pytest.mark.slow
def test_what_fails_is_named_and_the_rest_is_tried(tmp_path):
    out = tmp_path / "ddp.json"
    done = run("--upstream", "transformers:/nowhere/hubert", "--out", out)
    assert done.returncode == 1
    parts = {part["part"]: part for part in json.loads(out.read_text())["parts"]}
    assert len(parts) == 9 and [name for name, part in parts.items() if part["ok"]] == ["preparation"]
    assert "transformers:/nowhere/hubert: there is no such folder" in parts["training on 2"]["error"]
    assert parts["losses of ssl_mse on 2"]["error"].endswith("made no step: see its training above")
