"""Versions, machine and repository state, which results depend on besides their configuration."""

import datetime
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("espnet", "torch", "torchaudio", "transformers", "faster-whisper", "ctranslate2", "onnxruntime"),
    *("numba", "jiwer", "pesq", "pystoi", "fast_bss_eval", "speechmos", "num2words"),
)


def environment() -> dict[str, str]:
    """Names and values for a table: date, Python, packages, git hash, processor."""
    import espnet_posinv

    rows = {
        "date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "espnet_posinv": f"{espnet_posinv.__version__}, git {git_state(Path(espnet_posinv.__file__).parent)}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {len(os.sched_getaffinity(0))} cores"
        f"{_processor()}",
    }
    for name in PACKAGES:
        try:
            rows[name] = version(name)
        except PackageNotFoundError:
            rows[name] = "not installed"
    return rows


def git_state(folder: Path) -> str:
    """Short hash of HEAD, with "+ changes" if tracked files differ; "unknown" outside a repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except FileNotFoundError:
        return "unknown"
    return f"{head}{' + changes' if changed else ''}" if head else "unknown"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return ""
    return f" ({found[1].strip()})" if found else ""
