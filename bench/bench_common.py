"""What several benchmarks need: command line, versions, peak memory, an encoder with random weights."""

import argparse
import importlib
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch


def make_parser(description: str) -> argparse.ArgumentParser:
    """A parser whose help keeps the lines of the description."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def random_hubert(**options) -> torch.nn.Module:
    """An encoder of HuBERT-base's sizes with random weights, which take the same time as trained ones."""
    from espnet_posinv.ssl import SSLEncoder
    from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

    torch.manual_seed(0)
    return SSLEncoder(Wav2Vec2Network(Wav2Vec2Config()), label="HuBERT-base sizes, random weights", **options)


def peak_growth(call: Callable[[], object]) -> float:
    """MiB by which a call raises this process's peak memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _high_water_mark()
    call()
    return _high_water_mark() - before


def cuda_growth(call: Callable[[], object]) -> float:
    """MiB by which a call raises the allocated memory of the GPU."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _high_water_mark() -> float:
    (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def environment() -> dict:
    """Versions and the revision of this repository."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    revision = ""  # where there is no git, or no repository
    if shutil.which("git"):
        revision = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    versions = {name: importlib.import_module(name).__version__ for name in ("torch", "numba", "numpy")}
    return {"python": platform.python_version(), **versions, "revision": revision}
