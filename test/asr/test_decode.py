import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.asr.decode import CutOff, begin, decode
from espnet_posinv.kaldi.scp import DataError, read_scp


@dataclass(frozen=True)
class Loudness:
    """A recogniser whose text is the audio's peak in per cent; it fails on command and leaves a trace."""

    trace: str = ""
    unit: int = 100
    fail_above: float = 2.0

    def settings(self):
        return {"unit": self.unit}

    def transcribe(self, wav):
        assert wav.dtype == np.float32
        if wav.max() > self.fail_above:
            raise RuntimeError("too loud")
        with open(self.trace, "a") as file:
            file.write(".")
        return f"peak {wav.max() * self.unit:.0f}"


@pytest.fixture
def corpus(tmp_path):
    """Five utterances with peaks of 10 to 50 per cent; (folder, wav.scp, trace)."""
    scp = tmp_path / "wav.scp"
    for k in range(1, 6):
        sf.write(tmp_path / f"{k}.wav", np.r_[np.zeros(800), k / 10, np.zeros(800)], 16000, subtype="FLOAT")
    scp.write_text("".join(f"utt{k} {tmp_path}/{k}.wav\n" for k in (3, 1, 2, 5, 4)))
    (tmp_path / "trace").touch()
    return tmp_path, scp, tmp_path / "trace"


def expected(*ks):
    return {f"utt{k}": f"peak {10 * k}" for k in ks}


@pytest.mark.parametrize("nj", [1, 2])
def test_text_of_every_utterance(corpus, nj):
    folder, scp, trace = corpus
    assert decode(Loudness(str(trace)), [(scp, folder / "out")], nj=nj) == 5
    assert read_scp(folder / "out/text") == expected(1, 2, 3, 4, 5)
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["decode.json", "text"]
    assert json.loads((folder / "out/decode.json").read_text())["recogniser"] == {"unit": 100}


@dataclass(frozen=True)
class Short(Loudness):
    """Runs out of tokens for loud utterances."""

    def transcribe(self, wav):
        if wav.max() > 0.35:
            warnings.warn("cut off at 7 tokens", CutOff, stacklevel=1)
        return super().transcribe(wav)


@pytest.mark.parametrize("nj", [1, 2])
def test_transcripts_that_were_cut_off_are_reported(corpus, nj, capsys):
    folder, scp, trace = corpus
    decode(Short(str(trace)), [(scp, folder / "out")], nj=nj)
    assert read_scp(folder / "out/cut_off") == {"utt4": "cut off at 7 tokens", "utt5": "cut off at 7 tokens"}
    assert "transcripts of 2 utterances were cut off, like utt4" in capsys.readouterr().err
    decode(Loudness(str(trace), unit=1), [(scp, folder / "out")])
    assert not (folder / "out/cut_off").exists()


@dataclass(frozen=True)
class Lines(Loudness):
    """Writes several lines."""

    def transcribe(self, wav):
        return super().transcribe(wav).replace(" ", "\n") + "\n"


def test_a_text_of_several_lines_stays_one_entry(corpus):
    folder, scp, trace = corpus
    decode(Lines(str(trace)), [(scp, folder / "out")])
    assert read_scp(folder / "out/text") == expected(1, 2, 3, 4, 5)


def test_several_sets_in_one_call(corpus):
    folder, scp, trace = corpus
    (folder / "two.scp").write_text(f"a {folder}/1.wav\nb {folder}/2.wav\n")
    jobs = [(scp, folder / "one"), (folder / "two.scp", folder / "two")]
    assert decode(Loudness(str(trace)), jobs) == 7
    assert read_scp(folder / "two/text") == {"a": "peak 10", "b": "peak 20"}
    with pytest.raises(DataError, match="same output folder"):
        decode(Loudness(str(trace)), [jobs[0], (folder / "two.scp", folder / "one")])


def test_failure_names_the_utterance_and_the_next_run_goes_on(corpus):
    folder, scp, trace = corpus
    with pytest.raises(DataError, match="utterance utt5: too loud"):
        decode(Loudness(str(trace), fail_above=0.45), [(scp, folder / "out")])
    assert not (folder / "out/text").exists()
    before = len(trace.read_text())
    assert before == 3  # utt3, utt1, utt2 stand before utt5
    assert decode(Loudness(str(trace)), [(scp, folder / "out")]) == 2
    assert len(trace.read_text()) == 5
    assert read_scp(folder / "out/text") == expected(1, 2, 3, 4, 5)
    assert decode(Loudness(str(trace)), [(scp, folder / "out")]) == 0


def test_line_cut_off_by_a_kill_is_done_again(corpus):
    folder, scp, trace = corpus
    with pytest.raises(DataError):
        decode(Loudness(str(trace), fail_above=0.45), [(scp, folder / "out")])
    partial = folder / "out/text.partial"
    partial.write_bytes(partial.read_bytes()[:-2])  # "utt2 peak 2"
    assert decode(Loudness(str(trace)), [(scp, folder / "out")]) == 3
    assert read_scp(folder / "out/text") == expected(1, 2, 3, 4, 5)


def test_killed_before_the_text_was_put_together(corpus):
    folder, scp, trace = corpus
    decode(Loudness(str(trace)), [(scp, folder / "out")])
    (folder / "out/text").rename(folder / "out/text.partial")
    assert decode(Loudness(str(trace)), [(scp, folder / "out")]) == 0
    assert read_scp(folder / "out/text") == expected(1, 2, 3, 4, 5)


def test_other_settings_or_audio_start_anew(corpus):
    folder, scp, trace = corpus
    decode(Loudness(str(trace)), [(scp, folder / "out")])
    assert decode(Loudness(str(trace), unit=1000), [(scp, folder / "out")]) == 5
    assert read_scp(folder / "out/text")["utt1"] == "peak 100"
    sf.write(folder / "1.wav", np.full(1600, 0.6), 16000, subtype="FLOAT")
    assert decode(Loudness(str(trace), unit=1000), [(scp, folder / "out")]) == 5
    assert read_scp(folder / "out/text")["utt1"] == "peak 600"


def test_empty_text_is_kept(corpus, tmp_path):
    folder, scp, trace = corpus

    class Mute(Loudness):
        def transcribe(self, wav):
            return ""

    decode(Mute(str(trace)), [(scp, folder / "out")])
    assert set(read_scp(folder / "out/text", empty_values=True).values()) == {""}


def test_bad_audio_is_named(corpus):
    folder, scp, trace = corpus

    def run(entry):
        scp.write_text(f"good {folder}/1.wav\nbad {entry}\n")
        decode(Loudness(str(trace)), [(scp, folder / "out")])

    sf.write(folder / "slow.wav", np.zeros(800), 8000)
    with pytest.raises(DataError, match=r"utterance bad: .*slow.wav: 8000 Hz, need 16000"):
        run(folder / "slow.wav")
    sf.write(folder / "stereo.wav", np.zeros((800, 2)), 16000)
    with pytest.raises(DataError, match=r"utterance bad: .*2 channels, need one"):
        run(folder / "stereo.wav")
    sf.write(folder / "nan.wav", np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"utterance bad: .*sample 1 is \[nan\]"):
        run(folder / "nan.wav")
    with pytest.raises(DataError, match=r"utterance bad: .*absent.wav: No such file"):
        run(folder / "absent.wav")
    scp.write_text("")
    with pytest.raises(DataError, match=r"wav.scp: holds no utterance"):
        decode(Loudness(str(trace)), [(scp, folder / "out")])


def test_fingerprint_of_missing_file_does_not_stop(corpus):
    folder, scp, trace = corpus
    assert Path(scp).exists()
    decode(Loudness(str(trace)), [(scp, folder / "out")])
    (folder / "1.wav").unlink()
    with pytest.raises(DataError, match="utterance utt1"):
        decode(Loudness(str(trace)), [(scp, folder / "out")])


def test_a_text_of_somebody_else_is_kept(tmp_path):
    (tmp_path / "text").write_text("u0 a reference\n")
    with pytest.raises(DataError, match=r"text: not of posinv decode.*name another --output-dir"):
        begin(tmp_path, {"u0": "u0.wav"}, {})
    assert (tmp_path / "text").read_text() == "u0 a reference\n"


@pytest.mark.parametrize(
    "text", ["utt1 peak 10\n", "a b\nc d\ne f\ng h\ni j\n", "".join(f"utt{k} other\n" for k in range(1, 6))]
)
def test_a_text_that_the_recogniser_did_not_give_does_not_count(corpus, text):
    folder, scp, trace = corpus
    decode(Loudness(str(trace)), [(scp, folder / "out")])
    (folder / "out/text").write_text(text)
    with pytest.raises(DataError, match=r"out/text: changed since .* recognised were 5\); delete it"):
        decode(Loudness(str(trace)), [(scp, folder / "out")])
    assert (folder / "out/text").read_text() == text
    (folder / "out/text").unlink()
    assert decode(Loudness(str(trace)), [(scp, folder / "out")]) == 5


def test_a_broken_record_is_named(corpus):
    folder, scp, trace = corpus
    decode(Loudness(str(trace)), [(scp, folder / "out")])
    (folder / "out/decode.json").write_text('{\n "audio": ')
    with pytest.raises(ValueError, match=r"out/decode.json:2: not JSON .*; delete the file or mend it"):
        decode(Loudness(str(trace)), [(scp, folder / "out")])
