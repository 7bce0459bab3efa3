"""Opening audio, formatting it, and finding what cannot be used."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from espnet_posinv.kaldi import DataError, read_scp, write_data_dirs, write_scp
from espnet_posinv.kaldi.audio import audio_info, decode, parse_rate, read_audio, read_channel, read_mono
from espnet_posinv.kaldi.check_audio import check_audio
from espnet_posinv.kaldi.entry import fingerprint, state
from espnet_posinv.kaldi.format import format_wav_scp
from espnet_posinv.kaldi.format_task import run_task
from espnet_posinv.kaldi.lengths import write_lengths

RATE = 16000
needs_sox = pytest.mark.skipif(not shutil.which("sox"), reason="sox is not installed")


def integers(samples=RATE, channels=1, seed=0):
    """Full-scale 16-bit noise: every value must survive."""
    shape = samples if channels == 1 else (samples, channels)
    values = np.random.default_rng(seed).integers(-32768, 32768, shape).astype(np.int16)
    values.flat[:2] = -32768, 32767
    return values


@pytest.fixture
def wavs(tmp_path, monkeypatch):
    """Files of one signal in many guises; the working directory is their folder."""
    monkeypatch.chdir(tmp_path)
    x = integers()
    soundfile.write("x.wav", x, RATE)
    soundfile.write("x.flac", x, RATE)
    soundfile.write("stereo.wav", np.stack([x, x[::-1]], 1), RATE)
    soundfile.write("float.wav", x / 32768, RATE, subtype="FLOAT")
    soundfile.write("8k.wav", x[:8000], 8000)
    kaldiio.save_ark("wav.ark", {"x": (RATE, x), "y": (RATE, x[::-1].copy())}, scp="ark.scp")
    bad = (x / 32768).astype(np.float32)
    bad[77] = np.nan
    soundfile.write("nan.wav", bad, RATE, subtype="FLOAT")
    Path("cut.wav").write_bytes(Path("x.wav").read_bytes()[:10001])
    Path("cut.flac").write_bytes(Path("x.flac").read_bytes()[:10001])
    Path("cut.ark").write_bytes(b"x " + Path("cut.wav").read_bytes())
    Path("zero.wav").touch()
    Path("text.wav").write_text("no audio")
    soundfile.write("none.wav", x[:0], RATE)
    return x


GUISES = ["x.wav", "x.flac", "float.wav", "cat x.wav |", "cat x.flac | cat |", "ark"]


@pytest.mark.parametrize("entry", GUISES)
def test_one_scale_whatever_the_source(wavs, entry):
    entry = read_scp("ark.scp")["x"] if entry == "ark" else entry
    samples, rate = read_audio(entry)
    assert rate == RATE and samples.shape == (RATE, 1) and samples.dtype == np.float64
    np.testing.assert_array_equal(samples[:, 0], wavs / 32768)
    part, _ = read_audio(entry, 0.25, 0.5)
    np.testing.assert_array_equal(part[:, 0], wavs[4000:8000] / 32768)
    info = audio_info(entry)
    assert (info.rate, info.channels, info.samples) == (RATE, 1, RATE)


CONTAINERS = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "NIST", "CAF", "FLAC"]
BAD = [
    ("missing.wav", "missing.wav: No such file"),
    ("zero.wav", "zero.wav: empty file"),
    ("none.wav", "none.wav: holds no sample"),
    ("text.wav", "text.wav: cannot be read as audio"),
    ("cut.wav", "cut.wav: cut off: 9957 of 32000 bytes are there"),
    ("cat cut.wav |", r"cat cut.wav \|: cut off: 9957 of 32000 bytes are there"),
    ("cut.ark:2", "cut.ark:2: cut off: 9957 of 32000 bytes are there"),
    ("cut.flac", "cut.flac: .*cut off"),
    ("nan.wav", "nan.wav: sample 77 is .nan., not a finite number"),
    ("cat missing.wav |", "exit status 1: cat: missing.wav: No such file"),
    ("cat missing.wav | cat |", "exit status 1"),
    ("true |", "the command printed nothing"),
    ("wav.ark:9", "wav.ark:9: unreadable|wav.ark:9: cannot be read"),
    ("none.ark:2", "none.ark:2"),
]


@pytest.mark.parametrize(("entry", "what"), BAD)
def test_audio_that_cannot_be_used(wavs, entry, what):
    for opened in (read_audio, audio_info):
        with pytest.raises(DataError, match=what):
            opened(entry)


def test_a_wav_from_a_program_that_did_not_know_the_length(wavs):
    data = bytearray(Path("x.wav").read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    Path("stream.wav").write_bytes(data)
    np.testing.assert_array_equal(read_audio("cat stream.wav |")[0][:, 0], wavs / 32768)
    assert audio_info("stream.wav").samples == RATE


@pytest.mark.parametrize(("audio_format", "size"), [(f, None) for f in CONTAINERS] + [("OGG", "VORBIS")])
def test_cut_off_in_every_container(audio_format, size):
    """libsndfile plays the half that is there."""
    buffer = io.BytesIO()
    soundfile.write(buffer, integers(10 * RATE) // 2, RATE, format=audio_format, subtype=size or "PCM_16")
    data = buffer.getvalue()
    assert len(decode(data, "whole")[0]) == 10 * RATE
    with pytest.raises(DataError, match=r"half: .*(cut off|cannot be read)"):
        decode(data[: len(data) // 2], "half")


def test_one_channel_at_one_rate(wavs):
    np.testing.assert_array_equal(read_mono("x.wav"), wavs / 32768)
    samples, rate = read_channel("a name", data=Path("x.flac").read_bytes())
    np.testing.assert_array_equal(samples, wavs / 32768)
    assert rate == 16000
    assert read_channel("8k.wav")[1] == 8000
    with pytest.raises(DataError, match=r"8k\.wav: 8000 Hz, need 16000 Hz"):
        read_mono("8k.wav")
    with pytest.raises(DataError, match=r"stereo\.wav: 2 channels, need one"):
        read_mono("stereo.wav")


@pytest.mark.parametrize(("start", "end"), [(2, 3), (0, 1.02), (0.5, 0.5)])
@pytest.mark.parametrize("entry", ["x.wav", "cat x.wav |"])
def test_parts_outside_the_recording(wavs, entry, start, end):
    with pytest.raises(DataError, match="is not within its 1 s"):
        read_audio(entry, start, end)
    assert len(read_audio(entry, 0.75, 1.01)[0]) == 4000  # 1.005 s, rounded


@pytest.mark.parametrize(("text", "rate"), [("16k", 16000), ("8000", 8000), ("44.1k", 44100), ("none", None)])
def test_rates(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "0", "16kk", "0.3"])
def test_bad_rates(text):
    with pytest.raises(DataError, match="is not like 16000 or 16k"):
        parse_rate(text)


# ---------------------------------------------------------------- formatting


def test_all_guises_become_the_same_file(wavs):
    entries = {f"u{k}": e for k, e in enumerate(GUISES[:-1])} | {"ark": read_scp("ark.scp")["x"]}
    write_scp("in.scp", entries)
    for audio_format in ("wav", "flac"):
        result = format_wav_scp("in.scp", audio_format, rate=RATE, audio_format=audio_format, jobs=1)
        assert list(result.samples.values()) == [RATE] * 6 and result.clipped == 0
        for path in result.path.values():
            samples, rate = soundfile.read(path, dtype="int16")
            assert rate == RATE and path.endswith(audio_format)
            np.testing.assert_array_equal(samples, wavs)
        assert [path for path in result.path.values() if path.startswith("x.")] == [f"x.{audio_format}"]


def test_segments_channels_and_order(wavs):
    write_scp("in.scp", {"r1": "stereo.wav", "r2": "cat stereo.wav |"})
    Path("segments").write_text("u2 r2 0.5 -1\nu1 r1 0 0.5\nu3 r2 0 0.25\n")
    result = format_wav_scp("in.scp", "out", segments="segments", channels=[1], jobs=2)
    assert result.samples == {"u1": 8000, "u2": 8000, "u3": 4000}
    for utt, expected in (("u1", wavs[::-1][:8000]), ("u2", wavs[::-1][8000:]), ("u3", wavs[::-1][:4000])):
        np.testing.assert_array_equal(soundfile.read(result.path[utt], dtype="int16")[0], expected)
    swapped = format_wav_scp("in.scp", "swap", channels={"r1": [1, 0], "r2": [0]}, jobs=1)
    both, _ = soundfile.read(swapped.path["r1"], dtype="int16")
    np.testing.assert_array_equal(both, np.stack([wavs[::-1], wavs], 1))
    with pytest.raises(DataError, match=r"stereo\.wav: no channel 2"):
        format_wav_scp("in.scp", "none", channels=[2], jobs=1)


def test_resampling_keeps_a_tone(wavs):
    """A 1 kHz tone of 8 kHz material must be the same tone at 16 kHz."""
    t8, t16 = np.arange(8000) / 8000, np.arange(16000) / 16000
    soundfile.write("tone.wav", 0.5 * np.sin(2 * np.pi * 1000 * t8), 8000, subtype="FLOAT")
    write_scp("in.scp", {"tone": "tone.wav"})
    result = format_wav_scp("in.scp", "out", rate=16000, jobs=1)
    samples, rate = soundfile.read(result.path["tone"])
    assert rate == 16000 and len(samples) == 16000 == result.samples["tone"]
    middle = slice(500, -500)  # the filter rings at the ends
    np.testing.assert_allclose(samples[middle], 0.5 * np.sin(2 * np.pi * 1000 * t16)[middle], atol=1e-4)


def test_clipping_is_counted(wavs):
    loud = np.zeros(100)
    loud[10:13] = 1.5, -2.0, 1.0
    soundfile.write("loud.wav", loud, RATE, subtype="DOUBLE")
    write_scp("in.scp", {"loud": "loud.wav"})
    result = format_wav_scp("in.scp", "out", jobs=1)
    assert result.clipped == 2
    samples, _ = soundfile.read(result.path["loud"], dtype="int16")
    assert samples[10:13].tolist() == [32767, -32768, 32767]


def test_all_failures_are_told_and_the_rest_is_kept(wavs):
    write_scp("in.scp", {"good": "float.wav"} | {f"bad{k:02d}": entry for k, (entry, _) in enumerate(BAD)})
    with pytest.raises(DataError) as error:
        format_wav_scp("in.scp", "out", jobs=2)
    text = str(error.value)
    assert all(f"in.scp: 'bad{k:02d}': " in text for k in range(len(BAD)))
    assert f"{len(BAD)} of {len(BAD) + 1} utterances failed" in text
    write_scp("in.scp", {"good": "float.wav"})
    assert format_wav_scp("in.scp", "out", jobs=1).made == 0


def test_only_what_changed_is_made_again(wavs):
    write_scp("in.scp", {"a": "float.wav", "b": "stereo.wav", "c": "cat x.wav |"})
    first = format_wav_scp("in.scp", "out", channels=[0], jobs=1)
    assert first.made == 3
    assert format_wav_scp("in.scp", "out", channels=[0], jobs=1) == first._replace(made=0)
    os.utime("float.wav", ns=(1, 1))
    assert format_wav_scp("in.scp", "out", channels=[0], jobs=1).made == 1
    Path(first.path["b"]).unlink()
    assert format_wav_scp("in.scp", "out", channels=[0], jobs=1).made == 1
    assert format_wav_scp("in.scp", "out", rate=8000, channels=[0], jobs=1).made == 3
    write_scp("in.scp", {"a": "float.wav", "b": "stereo.wav", "c": "cat x.flac |"})
    assert format_wav_scp("in.scp", "out", rate=8000, channels=[0], jobs=1).made == 1


PIPES = ["cat v.wav |", "cat 'v.wav' | cat |", "bash make.sh |", "f=v; cat $f.wav |", "cat v.* |"]


@pytest.mark.parametrize("entry", PIPES)
def test_audio_behind_a_pipe_that_changed_is_made_again(wavs, entry):
    shutil.copy("x.wav", "v.wav")
    Path("make.sh").write_text("cat v.wav\n")
    write_scp("in.scp", {"a": entry})
    first, seen = format_wav_scp("in.scp", "out", jobs=1), fingerprint({"a": entry})
    assert first.made == 1 and format_wav_scp("in.scp", "out", jobs=1) == first._replace(made=0)
    assert fingerprint({"a": entry}) == seen
    soundfile.write("v.wav", wavs[:8000], RATE)
    again = format_wav_scp("in.scp", "out", jobs=1)
    assert (again.made, again.samples) == (1, {"a": 8000})
    assert fingerprint({"a": entry}) != seen


def test_a_pipe_that_shows_what_it_reads_is_not_run(wavs, monkeypatch):
    monkeypatch.setattr("espnet_posinv.kaldi.entry.run_pipe", None)
    assert fingerprint({"a": "sox x.wav -t wav - speed 0.9 | cat |"})
    assert state("python x.wav |") is state("cat missing.wav |") is state("cat x.wav | tac |") is None


def test_a_file_that_is_being_written_has_not_its_name(wavs, monkeypatch):
    def full_disk(path, samples, rate, **options):
        Path(path).write_bytes(b"RIFF")
        raise OSError("no space left")

    write_scp("in.scp", {"a": "float.wav"})
    with monkeypatch.context() as patch, pytest.raises(DataError, match="'a': no space left"):
        patch.setattr("espnet_posinv.kaldi.format_task.soundfile.write", full_disk)
        format_wav_scp("in.scp", "out", jobs=1)
    assert list(Path("out").rglob("*a.wav*")) == []


def test_going_back_to_earlier_options_makes_the_file_again(wavs):
    """The journal still tells of the first file, but the second one has taken its place."""
    write_scp("in.scp", {"a": "stereo.wav"})
    for channels in ([0], [1], [0]):
        result = format_wav_scp("in.scp", "out", channels=channels, jobs=1)
        samples, _ = soundfile.read(result.path["a"], dtype="int16")
        np.testing.assert_array_equal(samples, wavs if channels == [0] else wavs[::-1])
        assert result.made == 1


def test_killed_after_overwriting_before_noting_it(wavs, monkeypatch):
    """What lies there then is of the second kind, so the first kind must be made again."""
    write_scp("in.scp", {"a": "stereo.wav"})
    first = format_wav_scp("in.scp", "out", channels=[0], jobs=1)

    def killed(task):
        run_task(task)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("espnet_posinv.kaldi.format.run_task", killed)
        format_wav_scp("in.scp", "out", channels=[1], jobs=1)
    np.testing.assert_array_equal(soundfile.read(first.path["a"], dtype="int16")[0], wavs[::-1])
    again = format_wav_scp("in.scp", "out", channels=[0], jobs=1)
    np.testing.assert_array_equal(soundfile.read(again.path["a"], dtype="int16")[0], wavs)


def test_one_folder_holds_one_signal(wavs):
    """Files are named by utterance: references would overwrite the mixtures."""
    write_scp("wav.scp", {"a": "float.wav"})
    write_scp("spk1.scp", {"a": "float.wav"})
    format_wav_scp("wav.scp", "out", jobs=1)
    with pytest.raises(
        DataError, match=r"out: holds the audio of wav\.scp; use another folder for spk1\.scp"
    ):
        format_wav_scp("spk1.scp", "out", jobs=1)


def test_ids_with_slashes_keep_apart(wavs):
    """Some recipes take whole paths as ids."""
    utts = ["/a/b", "/a%2Fb", "../c", ".d"]
    write_scp("in.scp", dict.fromkeys(utts, "float.wav"))
    result = format_wav_scp("in.scp", "out", jobs=1)
    assert len(set(result.path.values())) == 4
    assert all(Path(path).resolve().parents[1] == Path("out").resolve() for path in result.path.values())


def test_a_killed_run_goes_on_where_it_was(wavs):
    """Kill -9 in the middle: complete files stay, no temporary file is taken for an output."""
    wait = "until [ -e go ]; do sleep 0.1; done; "  # so that the kill never comes too late
    write_scp("in.scp", {f"u{k:02d}": f"{wait if k >= 20 else ''}cat x.wav |" for k in range(40)})
    command = [sys.executable, "-m", "espnet_posinv", "data", "format-wav-scp", "--nj", "2", "in.scp", "out"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    deadline = time.monotonic() + 300
    while not any(p.stat().st_size for p in Path("out").rglob(".journal.*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path("out/wav.scp").exists()
    Path("go").touch()
    result = format_wav_scp("in.scp", "out/data/wav", jobs=2)
    assert 0 < result.made < 40
    for path in result.path.values():
        np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0], wavs)


# ---------------------------------------------------------------- checking


def data_dir(path, **tables):
    keys = next(iter(tables.values()))
    named = {name.replace("_scp", ".scp"): table for name, table in tables.items()}
    utt2spk = {"utt2spk": dict.fromkeys(named.get("segments", keys), "s")}
    write_data_dirs([path], ((name, [table]) for name, table in (utt2spk | named).items()))
    return path


def test_sound_audio(wavs):
    path = data_dir("data", wav_scp={"a": "x.wav", "b": "x.flac"}, spk1_scp={"a": "float.wav", "b": "x.wav"})
    write_lengths(path, jobs=1)
    assert read_scp("data/utt2num_samples") == {"a": "16000", "b": "16000"}
    assert read_scp("data/utt2dur") == read_scp("data/reco2dur") == {"a": "1", "b": "1"}
    assert list(check_audio(path, rate=RATE, channels=1)) == []


def test_every_kind_of_bad_audio_is_found(wavs):
    soundfile.write("short.wav", wavs[:-1], RATE)
    good = {f"g{k}": "x.wav" for k in range(4)}
    bad = {f"k{k:02d}": entry for k, (entry, _) in enumerate(BAD)}
    wav_scp = good | bad | {"z1": "8k.wav", "z2": "stereo.wav"}
    path = data_dir("data", wav_scp=wav_scp, spk1_scp=dict.fromkeys(wav_scp, "x.wav") | {"g2": "short.wav"})
    found = [str(problem) for problem in check_audio(path, jobs=2)]
    lines = {key: number for number, key in enumerate(sorted(wav_scp), 1)}
    expected = [f"data/wav.scp:{lines[key]}: '{key}': " for key in bad] + [
        f"data/wav.scp:{lines['z1']}: 'z1' has 8000 Hz, not 16000; ",
        f"data/wav.scp:{lines['z2']}: 'z2' has 2 channels, not 1; ",
        f"data/spk1.scp:{lines['g2']}: 'g2' has 15999 samples, but wav.scp has 16000; ",
    ]
    assert len(found) == len(expected)
    assert all(what.startswith(place) for what, place in zip(found, expected, strict=True))


def test_wanted_rate_and_channels(wavs):
    path = data_dir("data", wav_scp={"a": "8k.wav"})
    assert [p.what for p in check_audio(path, rate=RATE, channels=2)] == [
        "'a' has 8000 Hz, not 16000",
        "'a' has 1 channels, not 2",
    ]


def test_lengths_that_are_not_those_of_the_audio(wavs):
    path = data_dir("d", wav_scp={"a": "x.wav"}, utt2dur={"a": "1.2"}, utt2num_samples={"a": "15999"})
    write_scp("d/reco2dur", {"a": "x"})  # not a number: the text check tells
    assert [str(p).split(";")[0] for p in check_audio(path)] == [
        "d/utt2dur:1: 'a' says 1.2 s, the audio has 1.000 s",
        "d/utt2num_samples:1: 'a' says 15999 samples, the audio has 16000",
    ]


def test_segments_behind_the_end(wavs):
    segments = {"a": "r 0 0.5", "b": "r 0.25 -1", "c": "r 0.5 1.5"}
    path = data_dir(
        "d", wav_scp={"r": "x.wav"}, segments=segments, utt2dur={"a": "0.5", "b": "0.75", "c": "2"}
    )
    assert [str(p).split(";")[0] for p in check_audio(path)] == [
        "d/segments:3: 'c': r: the part from 0.5 to 1.5 s is not within its 1 s",
        "d/utt2dur:3: 'c' says 2 s, the audio has 1.000 s",
    ]


def test_lengths_of_segments(wavs):
    path = data_dir("d", wav_scp={"r": "8k.wav"}, segments={"a": "r 0 0.5", "b": "r 0.25 -1"})
    write_lengths(path, jobs=1)
    assert read_scp("d/utt2num_samples") == {"a": "4000", "b": "6000"}
    assert read_scp("d/utt2dur") == {"a": "0.5", "b": "0.75"}
    assert read_scp("d/reco2dur") == {"r": "1"}


def test_no_length_of_a_segment_behind_the_end(wavs):
    """GigaSpeech's issue 125: lengths below 0."""
    path = data_dir("d", wav_scp={"r": "x.wav"}, segments={"a": "r 0 1.005", "b": "r 0.5 2.4", "c": "r 2 3"})
    with pytest.raises(DataError) as error:
        write_lengths(path, jobs=1)
    assert [line.split(":")[1] for line in str(error.value).splitlines()] == [" 'b'", " 'c'"]
    assert not Path("d/utt2dur").exists()


@needs_sox
def test_what_sox_pipes(wavs):
    write_scp("in.scp", {"half": "sox x.wav -t wav - speed 2 |", "two": "sox -M x.wav x.wav -c 2 -t wav - |"})
    result = format_wav_scp("in.scp", "out", jobs=1)
    assert result.samples["half"] == RATE // 2
    two, _ = soundfile.read(result.path["two"], dtype="int16")
    np.testing.assert_array_equal(two, np.stack([wavs, wavs], 1))
