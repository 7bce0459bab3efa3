"""What messages name exists: commands of utils/ and their options."""

import re
from pathlib import Path

import pytest

from espnet_posinv.cli import main

REPO = Path(__file__).parents[2]
SOURCES = sorted((REPO / "espnet_posinv/kaldi").glob("*.py"))
NAMED = re.compile(r"(?:utils|scripts)/[\w/]+\.(?:sh|pl)(?: (?:\{[^}]*\}|--[\w-]+))*")


def options_of(door, capsys):
    """Options of a command, as its --help tells them."""
    words = re.search(r'-m espnet_posinv ([^"]+) "', door.read_text())[1].split()
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    return set(re.findall(r"--[\w-]+", capsys.readouterr().out))


def test_commands_and_options_exist(capsys):
    found = [(path.name, match) for path in SOURCES for match in NAMED.findall(path.read_text())]
    assert len(found) > 10
    for where, text in found:
        command, *options = text.split(" ")
        assert (REPO / command).exists(), f"{where}: {text}"
        if command.endswith(("run.pl", "slurm.pl", "queue.pl")):  # take what their configuration declares
            continue
        for option in options:
            if option.startswith("--"):
                assert option in options_of(REPO / command, capsys), f"{where}: {text}"
