"""Choosing a back end, adding one in one file, and running it as jobs of a launcher."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.asr.backend import build
from espnet_posinv.asr.espnet import ESPnet
from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import read_scp

main = command("decode")

UTILS = Path(__file__).parents[2] / "utils"
MINE = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Loudness:
    model: str
    limit: float = 2.0

    def settings(self):
        return {"unit": self.model}

    def transcribe(self, wav):
        if wav.max() > self.limit:
            raise RuntimeError("too loud")
        return f"{wav.max() * 100:.0f} {self.model}"


RECOGNISER = Loudness
"""


def test_settings_after_the_model():
    recogniser, unused = build("espnet", "a,b/c=d,beam_size=7,lm=x", beam_size=3, window=15.0, language=None)
    assert recogniser == ESPnet("a,b/c=d", beam_size=7, lm="x")
    assert unused == ["window"]
    for spec, message in (
        ("m,colour=red", "no setting 'colour'; ESPnet has model, model_file"),
        ("m,beam_size=many", "beam_size must be int, not 'many'"),
    ):
        with pytest.raises(ValueError, match=message):
            build("espnet", spec)
    with pytest.raises(ValueError, match=r"no 'nothing' here: there are whisper, .*ssl_ctc"):
        build("nothing", "m")
    with pytest.raises(ValueError, match=r"my.module: No module named 'my'; is it installed"):
        build("my.module", "m")
    with pytest.raises(ValueError, match=r"os.path has no RECOGNISER; end it with"):
        build("os.path", "m")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A back end of the user's, found by this process and by its jobs; two sets of six utterances."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/loudness.py").write_text(MINE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    for k in range(1, 7):
        sf.write(tmp_path / f"{k}.wav", np.full(800, k / 10), 16000, subtype="FLOAT")
    for name, ks in (("one", (1, 2, 3, 4)), ("two", (5, 6))):
        (tmp_path / f"{name}.scp").write_text("".join(f"u{k} {tmp_path}/{k}.wav\n" for k in ks))
    return tmp_path


def command(folder, model, *more):
    sets = [
        w for s in ("one", "two") for w in ("--wav-scp", f"{folder}/{s}.scp", "--output-dir", f"{folder}/{s}")
    ]
    main(["--backend", "mine.loudness", *sets, "--model", model, *more])


def test_one_file_adds_a_back_end(mine, capsys):
    command(mine, "per_cent", "--window", "15")
    assert read_scp(mine / "two/text") == {"u5": "50 per_cent", "u6": "60 per_cent"}
    assert "--window: not used by back end mine.loudness" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "kind"), [("--beam-size", "whole number"), ("--window", "number")])
def test_numbers_without_meaning(capsys, option, kind):
    for value in ("0", "-1"):
        with pytest.raises(SystemExit):
            main(["--wav-scp", "a", "--output-dir", "b", "--model", "c", option, value])
        assert f"argument {option}: expected a {kind} above 0, got {value!r}" in capsys.readouterr().err


def test_jobs_of_a_launcher_lose_nothing_but_what_failed(mine, capsys):
    jobs = ("--nj", "3", "--cmd", str(UTILS / "run.pl"))
    with pytest.raises(SystemExit, match=r"recognition failed, see above and .*asr_decode.\*.log; run again"):
        command(mine, "per_cent,limit=0.35", *jobs)
    assert (mine / "one/text.partial").read_text() == "u1 10 per_cent\nu2 20 per_cent\nu3 30 per_cent\n"
    assert "too loud" in (mine / "one/log/asr_decode.2.log").read_text()
    capsys.readouterr()
    command(mine, "per_cent", *jobs)
    assert "3 utterances recognised" in capsys.readouterr().out
    assert read_scp(mine / "one/text") == {f"u{k}": f"{k}0 per_cent" for k in range(1, 5)}
    assert read_scp(mine / "two/text") == {f"u{k}": f"{k}0 per_cent" for k in (5, 6)}
    assert not list((mine / "one/log").glob("part.*"))


@pytest.mark.parametrize("name", ["out 1", "o'1 ($x);&"])
def test_jobs_write_where_they_were_told(mine, name):
    words = ("--nj", "2", "--cmd", str(UTILS / "run.pl"), "--model", "per_cent")
    main(
        [
            "--backend",
            "mine.loudness",
            *words,
            "--wav-scp",
            f"{mine}/two.scp",
            "--output-dir",
            f"{mine}/{name}",
        ]
    )
    assert read_scp(mine / name / "text") == {"u5": "50 per_cent", "u6": "60 per_cent"}


def test_parts_of_a_killed_run_are_collected(mine, capsys):
    # What a run leaves that was killed while its jobs went on: parts with texts, and the list of sets
    from espnet_posinv.asr.decode import decode
    from espnet_posinv.kaldi.scp import write_scp

    recogniser, _ = build("mine.loudness", "per_cent")
    log = mine / "one/log"
    write_scp(log / "part.1/wav.scp", {"0:u2": f"{mine}/2.wav", "1:u6": f"{mine}/6.wav"})
    decode(recogniser, [(log / "part.1/wav.scp", log / "part.1")])
    (log / "part.2").mkdir()
    (log / "sets.json").write_text(f'["{mine}/one", "{mine}/two"]')
    command(mine, "per_cent", "--nj", "1", "--cmd", str(UTILS / "run.pl"))
    assert "6 utterances recognised" in capsys.readouterr().out
    assert "recognising 4 utterances" not in (log / "asr_decode.1.log").read_text()
    assert "4 utterances recognised" in (log / "asr_decode.1.log").read_text()
    assert read_scp(mine / "two/text")["u6"] == "60 per_cent"
