"""Print versions, and what is missing in the environment and how to get it, for bug reports."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

# program -> (Debian package, what for, required)
PROGRAMS = {
    "gcc": ("gcc g++", "building the packages that have no wheel", True),
    "git": ("git", "the git hash in result tables", False),
    "sox": ("sox", "pitch-preserving tempo perturbation", False),
    "shellcheck": ("shellcheck", "the lint step of CI", False),
    "apt-get": ("apt", "fetching the mini recipe's recordings", False),
    "sclite": ("sctk", "NIST's scoring report beside ours", False),
    "sbatch": ("slurm-client", "running recipes on Slurm", False),
    "qsub": ("gridengine-client", "running recipes on Grid Engine", False),
}
ELSEWHERE = {"sclite": "/usr/lib/sctk/bin/sclite"}


def requirements() -> list[tuple[str, Requirement]]:
    """The extra ('' for none) and the requirement of each line of the installed package's metadata."""
    found = []
    for line in importlib.metadata.requires("espnet_posinv") or []:
        wanted = Requirement(line)
        extra = re.search(r'extra == "([^"]+)"', str(wanted.marker))
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra[1] if extra else ""}):
            found.append((extra[1] if extra else "", wanted))
    return sorted(found, key=str)


def options(parser):
    parser.add_argument(
        "--required-only", action="store_true", help="print only what is missing and required"
    )


def run(args) -> int:
    """Exit status 0 if everything required is there, else 1."""
    if not args.required_only:
        from espnet_posinv.report.environment import environment

        print("\n".join(f"{name:<16} {value}" for name, value in environment().items()) + "\n")
    rows, failed = [], False

    def row(ok, required, what, detail):
        nonlocal failed
        failed |= required and not ok
        if not args.required_only or (required and not ok):
            rows.append(f"{'ok     ' if ok else 'MISSING' if required else 'absent '}  {what:<22} {detail}")

    row(sys.version_info >= (3, 10), True, "python", f"{sys.version.split()[0]} at {sys.executable}")
    try:
        wanted = requirements()
    except importlib.metadata.PackageNotFoundError:
        print(f"MISSING  espnet_posinv is not installed for {sys.executable}: run tools/setup.sh")
        return 1
    for extra, needed in wanted:
        if extra == "all":
            continue
        name = needed.name
        label = f"{name}{needed.specifier}" + (f" [{extra}]" if extra else "")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            row(False, not extra, label, f"get it: tools/setup.sh --extras {extra or 'all'}")
            continue
        fits = needed.specifier.contains(version, prereleases=True)
        row(fits, not extra, label, version if fits else f"{version} does not fit: tools/setup.sh --force")
    for program, (package, purpose, required) in PROGRAMS.items():
        path = shutil.which(program) or next(
            (p for p in [ELSEWHERE.get(program, "")] if Path(p).is_file()), None
        )
        row(bool(path), required, program, path or f"for {purpose}; get it: apt-get install {package}")
    gpu = (
        shutil.which("nvidia-smi")
        and subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    row(bool(gpu), False, "gpu", gpu or "none: everything runs on the CPU, small models only")
    print("\n".join(rows)) if rows else None
    return int(failed)
