"""A device that is not there is told in one line, before anything is read."""

import pytest
import torch

from espnet_posinv.cli import command
from espnet_posinv.device import find_device

COMMANDS = (
    "convergence exp --data d --recogniser whisper:w --output-dir o",
    "data store-references c.yaml d --output o",
    "enhance m x.wav --output-dir o",
    "finetune --model m --criterion c --upstream u:v --speech-scp s --noise-scp n --output-dir o",
    "plan-batch --config c.yaml --gpu-memory 8",
    "probe --upstream u:v --data d --output-dir o",
    "train-ctc --upstream u:v --train-scp s --train-text t --valid-scp s --valid-text t --output-dir o",
)


@pytest.mark.parametrize("call", COMMANDS, ids=lambda call: call.split()[0])
def test_every_command_refuses_a_device_that_is_not_there(call):
    words, names = call.split(), 2 if call.startswith("data") else 1
    with pytest.raises(SystemExit, match="device gpu: torch finds none here; cpu works everywhere"):
        command(*words[:names])([*words[names:], "--device", "gpu"])


def test_only_the_gpus_of_this_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert [find_device(name).type for name in ("cpu", "cuda", "cuda:0")] == ["cpu", "cuda", "cuda"]
    for name in ("cuda:1", "xpu"):
        with pytest.raises(ValueError, match=f"device {name}: torch finds none here"):
            find_device(name)
