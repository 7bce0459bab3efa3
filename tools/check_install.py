#!/usr/bin/env python3
"""Print what of espnet_posinv's environment is there, what is missing and how to get it.

Exit status 0 when everything required is there, 1 otherwise. Needs nothing but Python itself; looks at the
environment that tools/setup.sh made, or, where there is none, at that of the Python it runs on.
"""

import argparse
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def requirements():
    """Yield (extra or '', name, version bounds) from the installed package's metadata."""
    for line in importlib.metadata.requires("espnet_posinv") or []:
        spec, _, marker = line.partition(";")
        extra = re.search(r'extra == "([^"]+)"', marker)
        name = re.match(r"[A-Za-z0-9_.-]+", spec).group()
        yield (extra.group(1) if extra else ""), name, spec.strip()[len(name) :]


def satisfies(version, bounds):
    """Whether a version is within bounds such as '>=1.2,<3'; only the numbers of a release count."""

    def key(text):
        return [int(n) for n in re.findall(r"\d+", text.split("+")[0])[:4]]

    compare = {">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "==": lambda a, b: a == b}
    return all(compare[op](key(version), key(b)) for op, b in re.findall(r"(>=|<|==)\s*([\w.]+)", bounds))


def main(argv=None):
    """Check and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--required-only", action="store_true", help="print only what is missing and required"
    )
    args = parser.parse_args(argv)
    python = ROOT / ".venv/bin/python"
    if sys.prefix == sys.base_prefix and python.exists():  # called outside of any environment
        os.execv(python, [python, __file__, *sys.argv[1:]])
    rows, failed = [], False

    def row(ok, required, what, detail):
        nonlocal failed
        failed |= required and not ok
        if not args.required_only or (required and not ok):
            rows.append(f"{'ok     ' if ok else 'MISSING' if required else 'absent '}  {what:<22} {detail}")

    row(sys.version_info >= (3, 11), True, "python", f"{sys.version.split()[0]} at {sys.executable}")
    try:
        wanted = sorted(set(requirements()))
    except importlib.metadata.PackageNotFoundError:
        print(f"MISSING  espnet_posinv is not installed for {sys.executable}: run {ROOT}/tools/setup.sh")
        return 1
    for extra, name, bounds in wanted:
        if extra == "all":
            continue
        label = f"{name}{bounds}" + (f" [{extra}]" if extra else "")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            row(False, not extra, label, f"get it: tools/setup.sh --extras {extra or 'all'}")
            continue
        fits = satisfies(version, bounds)
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


if __name__ == "__main__":
    sys.exit(main())
