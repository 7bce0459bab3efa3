"""tools/setup.sh: which interpreter the environment gets, and keeps."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def setup(tmp_path):
    """The script in a folder with an environment of "Python 3.99" that cannot install anything."""
    (tmp_path / "tools").mkdir()
    script = shutil.copy(ROOT / "tools/setup.sh", tmp_path / "tools")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    cases = f'*print*) echo 3.99 ;; -m*) exit 1 ;; *) exec {sys.executable} "$@" ;;'
    python.write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\n')
    python.chmod(0o755)
    programs = tmp_path / "programs"  # all there: nothing is to be installed
    programs.mkdir()
    for name in ("gcc", "sox", "shellcheck", "git"):
        (programs / name).symlink_to("/bin/true")
    return lambda *options: subprocess.run(
        [script, *options],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)},
    )


def test_an_environment_keeps_its_interpreter(setup):
    done = setup()
    assert "Python 3.99 environment" in done.stdout
    assert "no tested version list for Python 3.99" in done.stderr  # this once ended without a word
    assert done.returncode == 1 and "the packages could not be installed" in done.stderr


def test_another_interpreter_for_an_environment_that_is_there(setup):
    done = setup("--python", sys.executable)
    assert done.returncode == 1 and "has another Python than" in done.stderr and "--venv" in done.stderr
