"""A folder of recordings and a file of transcripts become three sets that share no speaker."""

import numpy as np
import pytest
import soundfile

from espnet_posinv.cli import command
from espnet_posinv.corpora.wav_folder import wav_folder
from espnet_posinv.kaldi.check import check_data_dir
from espnet_posinv.kaldi.scp import DataError, read_scp


@pytest.fixture
def corpus(tmp_path):
    """Ten speakers with four recordings each; a name with a blank."""
    for speaker in range(10):
        for i in range(4):
            path = tmp_path / f"audio/s{speaker}/take {i}-{speaker}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.ones(100), 8000)
    (tmp_path / "audio/readme.txt").write_text("none")
    return tmp_path


def write_texts(corpus, names):
    (corpus / "texts").write_text("".join(f"{name}\tone two\n" for name in names))


def names(corpus):
    return [str(p.relative_to(corpus / "audio").with_suffix("")) for p in sorted(corpus.rglob("*.wav"))]


def test_sets_share_no_speaker_and_have_about_their_shares(corpus, capsys):
    write_texts(corpus, [name.rpartition("/")[2] for name in names(corpus)])
    folders = [str(corpus / name) for name in ("audio", "texts", "data")]
    assert command("data", "wav-folder")(folders) == 0
    assert f"{corpus}/data/train: 32 utterances" in capsys.readouterr().out
    speakers = {}
    for name, count in (("train", 32), ("valid", 4), ("test", 4)):
        assert not list(check_data_dir(corpus / "data" / name))
        table = read_scp(corpus / "data" / name / "utt2spk")
        assert len(table) == count and set(read_scp(corpus / "data" / name / "text").values()) == {"one two"}
        speakers[name] = set(table.values())
    assert sum(map(len, speakers.values())) == len(set().union(*speakers.values())) == 10
    assert wav_folder(*folders, seed=1) == {"train": 32, "valid": 4, "test": 4}
    assert set(read_scp(corpus / "data/test/utt2spk").values()) != speakers["test"]


def test_one_speaker_shares_no_utterance(corpus):
    write_texts(corpus, names(corpus))
    counts = wav_folder(corpus / "audio", corpus / "texts", corpus / "data", speaker=r"/(take)")
    assert counts == {"train": 32, "valid": 4, "test": 4}
    assert set(read_scp(corpus / "data/train/utt2spk").values()) == {"take"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: write_texts(c, names(c)[1:]), r"recordings: s0/take 0-0; a line is like: take 0-0 what"),
        (lambda c: (c / "texts").write_text("a b\na c\n"), "texts:2: 'a' has two transcripts"),
        (lambda c: (c / "texts").unlink(), "texts: No such file or directory; name the file of transcripts"),
        (
            lambda c: (c / "texts").write_text(
                f"{names(c)[0]}\t\n" + (c / "texts").read_text().split("\n", 1)[1]
            ),
            "take 0-0.wav: no words in .*texts; complete the line",
        ),
        (lambda c: (c / "texts").write_bytes("a é\n".encode("latin-1")), "texts: not UTF-8; convert"),
        (lambda c: [p.unlink() for p in c.rglob("*.wav")], "no recordings"),
        (lambda c: [p.unlink() for p in sorted(c.rglob("*.wav"))[2:]], "none is left for"),
    ],
)
def test_what_is_wrong_is_named(corpus, change, message):
    write_texts(corpus, names(corpus))
    change(corpus)
    with pytest.raises(DataError, match=message):
        wav_folder(corpus / "audio", corpus / "texts", corpus / "data")


def test_all_recordings_that_cannot_be_used_are_named_in_one_list(corpus):
    write_texts(corpus, names(corpus)[1:])
    soundfile.write(corpus / "audio/s1/take 0-1.wav", np.ones((100, 2)), 8000)
    soundfile.write(corpus / "audio/s2/take 0-2.wav", np.array([0, np.nan]), 8000, subtype="FLOAT")
    (corpus / "audio/s3/take 0-3.wav").write_text("RIFF")
    with pytest.raises(DataError) as told:
        wav_folder(corpus / "audio", corpus / "texts", corpus / "data")
    lines = str(told.value).replace(f"{corpus}/", "").splitlines()
    assert lines[0] == "audio: correct these, and run again"
    assert lines[1] == ("  audio/s1/take 0-1.wav: 2 channels; make one of them, as with: sox IN OUT remix 1")
    assert lines[2] == "  audio/s2/take 0-2.wav: sample 1 is [nan], not a finite number"
    assert lines[3].startswith("  audio/s3/take 0-3.wav: ")
    assert lines[4].startswith(
        "texts: no line for 1 of 40 recordings: s0/take 0-0; a line is like: take 0-0 "
    )
    assert not (corpus / "data").exists()


def test_names_may_have_their_suffix(corpus):
    write_texts(corpus, [f"{name}.wav" for name in names(corpus)])
    assert sum(wav_folder(corpus / "audio", corpus / "texts", corpus / "data").values()) == 40


def test_lines_without_recording_are_named(corpus, caplog):
    write_texts(corpus, [*names(corpus), "s0/take 9-0"])
    wav_folder(corpus / "audio", corpus / "texts", corpus / "data")
    assert "1 of 41 lines have no recording" in caplog.text and "s0/take 9-0" in caplog.text


def test_a_path_without_speaker_is_named(corpus):
    write_texts(corpus, [])
    with pytest.raises(DataError, match="finds no speaker in it"):
        wav_folder(corpus / "audio", corpus / "texts", corpus / "data", speaker="^x(y)")


def test_a_text_may_have_any_unicode_space(corpus):
    """At some of which str.splitlines would split."""
    lines = (f"{name}\tone\u2028two\x85three\n" for name in names(corpus))
    (corpus / "texts").write_text("".join(lines), encoding="utf-8")
    wav_folder(corpus / "audio", corpus / "texts", corpus / "data")
    assert set(read_scp(corpus / "data/test/text").values()) == {"one\u2028two\x85three"}
