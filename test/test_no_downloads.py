"""Importing the package, ESPnet's tools through it, and the Enhancer ask nothing of the network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]

# Any look-up or connection is told and refused; nltk is as on a machine that never had its data.
PROGRAM = """
import socket, sys

def refuse(*args, **kwargs):
    sys.stderr.write(f"NETWORK {args}")
    raise OSError("no network here")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
import espnet_posinv
from espnet_posinv import Enhancer
import espnet2.bin.enh_train, espnet2.bin.asr_inference
import espnet_posinv.enh.task, espnet_posinv.asr.espnet
import g2p_en, nltk
assert nltk.download.__module__ == "nltk.downloader"  # whoever asks for a download gets it
"""


def test_nothing_is_downloaded_at_import(tmp_path):
    pytest.importorskip("g2p_en", reason="g2p_en is installed with ESPnet")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env=os.environ
        | {"HOME": str(tmp_path), "NLTK_DATA": "", "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0 and "NETWORK" not in done.stderr, done.stderr
    assert list(tmp_path.rglob("*nltk*")) == []
