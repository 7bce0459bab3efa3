"""The help of every command."""

import re

import pytest

from espnet_posinv import cli


def commands(*names):
    for name in cli._commands(names):
        yield from commands(*names, name) if cli._commands([*names, name]) else [(*names, name)]


@pytest.mark.parametrize("names", commands(), ids=" ".join)
def test_only_a_default_that_there_is_is_shown_and_once(names, capsys):
    with pytest.raises(SystemExit):
        cli.command(*names)(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: posinv ")
    assert not re.findall(r"\(default: (?:None|\[\])?\)|default: [^()]*\) \(default: ", text)
