"""The mini corpus: its directories, that they can be made again exactly, and what may not overlap."""

import gzip
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.corpora import membership, mini_debian, noises
from espnet_posinv.corpora.amazon_queen import speech, voice
from espnet_posinv.corpora.asterisk import read_texts
from espnet_posinv.corpora.attribution import write_attribution
from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.espeak import Lexicon
from espnet_posinv.corpora.fillets import read_script
from espnet_posinv.corpora.prompts import LANGUAGES, Prompt
from espnet_posinv.corpora.prompts import prompts as real_prompts
from espnet_posinv.perturb.noise import active_frames, active_level, highpass
from espnet_posinv.perturb.random_noise import read_noises
from espnet_posinv.text.normalize import spell

RATE = 16000
DOWNLOADS = Path(__file__).parents[2] / "egs2/mini_debian/downloads"


def speechlike(seconds, seed):
    """Noise with syllables: four bursts a second, so that it has active frames and pauses."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    return (0.1 * rng.standard_normal(len(t)) * (np.sin(2 * np.pi * 4 * t) > 0)).astype(np.float32)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Folder of generated recordings, written once."""
    return tmp_path_factory.mktemp("prompts")


@pytest.fixture
def corpus(tmp_path, monkeypatch, recorded):
    """`mini_debian` with generated prompts and noises in place of fetched ones; returns a builder."""

    voices = {"en": ["allison"], "es": ["allison"], "nl": ["small", "big"], "cs": ["small", "crab"]}

    def prompts(language, downloads, own=()):
        folder = recorded / language
        folder.mkdir(parents=True, exist_ok=True)
        result = []
        for i in range(60):
            path = folder / f"{i}.wav"
            if not path.exists():
                sf.write(path, speechlike(1.1 + 0.3 * (i % 8), 1000 * LANGUAGES.index(language) + i), RATE)
            # Every text is said twice; every third is too short for a test
            text = f"{language} sentence number {i // 2}." if i % 3 else f"{language} word{i // 2}."
            voice = voices.get(language, ["june"])[i % 4 % len(voices.get(language, "j"))]
            result.append(Prompt(f"say/{i:02d}", language, voice, text, path))
        return result

    def noise(seed):
        return (0.05 * np.random.default_rng(seed).standard_normal(5 * RATE)).astype(np.float32)

    kinds = ("babble2", "fire", "train")
    seen = ({k: noise(i) for i, k in enumerate(kinds)}, {k: noise(9 + i) for i, k in enumerate(kinds)})
    monkeypatch.setattr(mini_debian, "prompts", prompts)
    monkeypatch.setattr(mini_debian, "seen_noises", lambda speech, downloads, own: seen)
    monkeypatch.setattr(mini_debian, "unseen_noises", lambda speech, downloads, own: {"rain": noise(20)})
    for name, rounds in (("quick", 1), ("default", 1), ("full", 2)):
        monkeypatch.setitem(mini_debian.SIZES, name, mini_debian.Size(20, 4, rounds))

    def build(name, size="quick", seed=0, lexicon=None):
        say = lambda text: None  # noqa: E731
        mini_debian.build(tmp_path / name, tmp_path / "downloads", size, seed, say=say, lexicon=lexicon)
        return tmp_path / name

    return build


def table(path):
    return dict(line.split(maxsplit=1) for line in path.read_text().splitlines())


def test_directories_are_sorted_and_agree(corpus):
    data = corpus("data")
    for name, count in (
        ("train", 20),
        ("valid", 4),
        ("test_clean", 12),
        ("test_seen", 12),
        ("test_unseen", 12),
    ):
        folder = data / name
        files = ["wav.scp", "spk1.scp", "text", "utt2spk", "utt2lang", "utt2group", "utt2noise", "utt2snr"]
        files += [] if name in ("train", "test_clean") else ["noise1.scp"]
        keys = list(table(folder / "wav.scp"))
        assert len(keys) == count and keys == sorted(keys)
        for file in files:
            assert list(table(folder / file)) == keys, (name, file)
        speakers = table(folder / "spk2utt")
        assert sorted(k for v in speakers.values() for k in v.split()) == keys
        for key, path in table(folder / "wav.scp").items():
            info = sf.info(path)
            assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16"), key
    assert not (data / "test_clean" / "noise1.scp").exists()
    assert not list(data.glob(".*"))


def test_another_lexicon_gives_other_phones(corpus):
    letters = {
        (language, word): tuple(word)
        for language in LANGUAGES
        for i in range(60)
        for text in (f"{language} sentence number {i}.", f"{language} word{i}.")
        for word in spell(text, language).split()
    }
    data = corpus("data", lexicon=Lexicon(letters))
    before = (data / "test_seen" / "text_phones").read_text()
    letters |= {key: ("x", *phones) for key, phones in letters.items()}
    assert (corpus("data", lexicon=Lexicon(letters)) / "test_seen" / "text_phones").read_text() != before


def test_mixtures_add_up_and_have_their_ratio(corpus):
    folder = corpus("data") / "test_seen"
    snrs = table(folder / "utt2snr")
    for key, path in table(folder / "wav.scp").items():
        mix = read_audio(path)
        clean, noise = (read_audio(table(folder / f)[key]) for f in ("spk1.scp", "noise1.scp"))
        assert np.abs(mix - clean - noise).max() < 3 / 32768  # three roundings
        active = active_frames(highpass(clean))
        ratio = np.mean(highpass(clean)[active] ** 2) / np.mean(highpass(noise)[active] ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(float(snrs[key]), abs=0.05)
        assert -5 <= float(snrs[key]) <= 15
        assert active_level(clean) == pytest.approx(-26, abs=0.1)


def test_no_voice_and_no_text_stands_on_both_sides(corpus):
    data = corpus("data", "full")
    # Prompts may be joined, so look for a text inside the training texts
    train = " | ".join(table(data / "train" / "text").values())
    test, group = (table(data / "test_seen" / name) for name in ("text", "utt2group"))
    for text in (*table(data / "valid" / "text").values(), *test.values()):
        assert text not in train
    assert not set(table(data / "valid" / "text").values()) & set(test.values())
    assert len(set(test.values())) == len(test) and all(len(t.split()) >= 3 for t in test.values())
    assert set(group.values()) == {"sentences", "voices"}
    for name in ("train", "valid"):
        assert not set(table(data / name / "spk2utt")) & membership.HELD_OUT
    for key, speaker in table(data / "test_seen" / "utt2spk").items():
        assert (speaker in membership.HELD_OUT) == (group[key] == "voices")


def test_a_prompts_part_depends_on_its_letters_alone():
    def prompt(text, voice="june", language="fr", name="a"):
        return Prompt(name, language, voice, text, None)

    texts = [f"sentence {i}" for i in range(2000)]
    parts = [membership.part(prompt(text)) for text in texts]
    assert parts.count("test") == pytest.approx(320, abs=60) and parts.count("valid") == pytest.approx(
        80, abs=30
    )
    assert parts == [membership.part(prompt(text.upper() + "!", name="b", voice="x")) for text in texts]
    assert {membership.part(prompt(text, "big", "nl")) for text in texts} == {"voices"}
    # What a held-out voice and a training voice both say is no test
    both = [p for text in texts for p in (prompt(text, "small", "nl"), prompt(text, "big", "nl"))]
    divided = membership.divide(both)
    assert {p.text for p in divided["voices"]} == {p.text for p in divided["test"]}


def test_every_third_recording_of_a_noise_makes_its_test():
    assert membership.sides(list("abcdefg")) == (list("abdeg"), list("cf"))


@pytest.mark.slow  # reads the archives that a run of the recipe has left
def test_real_recordings_are_many_and_on_one_side():
    if not list(DOWNLOADS.glob("unpacked/megaglest-data-*")):
        pytest.skip("no recordings: run egs2/mini_debian/enh1/run.sh")
    seen, unseen = noises.recordings(DOWNLOADS)
    sides = [[], [], [p for paths in unseen.values() for p in paths]]
    for kind, paths in seen.items():
        for side, part in zip(sides, membership.sides(paths), strict=False):
            side += part
            assert part, kind
    files = [p.read_bytes() for side in sides for p in side]
    assert len(set(files)) == len(files)  # no recording twice, under whatever name
    assert len(sides[0]) >= 60 and len(unseen) + 1 >= 10
    parts = membership.divide(p for language in LANGUAGES for p in real_prompts(language, DOWNLOADS))
    order = mini_debian.test_order(parts)[: len(mini_debian.ROUND) * mini_debian.SIZES["default"].rounds]
    assert len(order) >= 400
    assert len({p.voice for _, p in order}) >= 20 and len({p.language for _, p in order}) >= 6


def test_dev_has_no_text_of_a_test_and_is_the_same_in_every_size(corpus):
    small, large = corpus("small", "quick"), corpus("large", "full")
    said = set(re.findall(r"en \w+(?: number \d+)?\.", " ".join(table(small / "dev" / "text").values())))
    assert said and not said & set(table(large / "test_clean" / "text").values())
    assert set(table(small / "dev" / "utt2noise").values()) <= {"babble2", "fire", "train"}
    assert all(-5 <= float(snr) <= 15 for snr in table(small / "dev" / "utt2snr").values())
    for key, path in table(small / "dev" / "wav.scp").items():
        assert np.array_equal(sf.read(path)[0], sf.read(table(large / "dev" / "wav.scp")[key])[0])


def test_training_noise_is_written_for_mixing_on_the_fly(corpus):
    data = corpus("data")
    found = read_noises(data / "noise" / "train.scp")
    assert sorted(found) == ["babble2", "fire", "train"] and all(len(x) == 5 * RATE for x in found.values())
    assert table(data / "train" / "wav.scp") == table(data / "train" / "spk1.scp")


def test_dialogue_scripts():
    text = (
        'dialogId("vit-hs-1", "font_statue", "Stay (calm).")\ndialogStr("Klid, \\"prosím\\".")\n\n'
        'dialogId("k1-pap-2", "font_white", "")\n\ndialogStr("Ahoj.")\n'
    )
    assert read_script(text) == {"vit-hs-1": ("statue", 'Klid, "prosím".'), "k1-pap-2": ("white_k", "Ahoj.")}


def test_test_sets_hold_the_same_utterances_and_a_larger_size_only_adds(corpus):
    small, large = corpus("small", "quick"), corpus("large", "full")
    for name in ("test_clean", "test_seen", "test_unseen"):
        few, many = table(small / name / "wav.scp"), table(large / name / "wav.scp")
        assert set(few) < set(many)
        for key in few:
            assert np.array_equal(sf.read(few[key])[0], sf.read(many[key])[0])
    assert set(table(small / "test_clean" / "wav.scp")) == set(table(small / "test_unseen" / "wav.scp"))


def test_same_seed_same_samples(corpus):
    one, two, other = corpus("one"), corpus("two"), corpus("other", seed=1)
    for key, path in table(one / "train" / "wav.scp").items():
        assert np.array_equal(sf.read(path)[0], sf.read(table(two / "train" / "wav.scp")[key])[0])
    assert table(one / "valid" / "utt2snr") != table(other / "valid" / "utt2snr")


def test_what_is_there_is_kept_and_what_is_half_done_is_made_again(corpus):
    data = corpus("data")
    before = (data / "train" / "wav.scp").stat().st_mtime_ns
    (data / "test_seen" / "made.json").unlink()
    (data / "test_seen" / "text").unlink()
    corpus("data")
    assert (data / "train" / "wav.scp").stat().st_mtime_ns == before
    assert (data / "test_seen" / "text").exists()
    corpus("data", seed=5)
    assert json.loads((data / "train" / "made.json").read_text())["seed"] == 5
    assert (data / "train" / "wav.scp").stat().st_mtime_ns != before


def test_texts_with_notes_are_left_out_and_misprints_mended(tmp_path):
    path = tmp_path / "core-sounds-en.txt.gz"
    with gzip.open(path, "wt") as f:
        f.write(
            "; a comment\n\nactivated: Activated.\nbeep: [this is a simple beep tone]\nletters/at: at [@]\n"
            "silence/1: (1 second of silence)\nconfbridge-join: <beep ascending>\ntt-weasels: Weasels\n"
            "unidentified: Un-indentified or witheld\ndemo: separated by * and then:  pound\n"
        )
    assert read_texts(path) == {
        "activated": "Activated.",
        "unidentified": "Un-identified or withheld",
        "demo": "separated by star and then: pound",
    }


def encode(path, x, rate, codec, form):
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((x[None] * 32767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=rate, frame_size=stream.frame_size
        )
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(part):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def frequency(x):
    return np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax() * RATE / len(x)


@pytest.mark.parametrize(
    ("name", "rate", "codec", "form"),
    [
        ("a.g722", 16000, "g722", "g722"),
        ("a.mp3", 11025, "libmp3lame", "mp3"),
        ("a.wav", 44100, "pcm_s16le", "wav"),
    ],
)
def test_audio_is_read_at_16_khz(tmp_path, name, rate, codec, form):
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)
    encode(tmp_path / name, tone, rate, codec, form)
    x = read_audio(tmp_path / name)
    assert len(x) == pytest.approx(2 * RATE, rel=0.05)
    assert frequency(x) == pytest.approx(1000, abs=2)
    assert np.sqrt(np.mean(x[4000:-4000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.06)


def test_stereo_is_averaged(tmp_path):
    t = np.arange(RATE) / RATE
    both = np.stack([0.4 * np.sin(2 * np.pi * 300 * t), np.zeros(RATE)], 1)
    sf.write(tmp_path / "a.wav", both, RATE)
    # FFmpeg's down-mix halves both channels or keeps their power; what counts is one channel of that tone.
    assert frequency(read_audio(tmp_path / "a.wav")) == pytest.approx(300, abs=2)


def test_unreadable_audio_is_named(tmp_path):
    (tmp_path / "a.ogg").write_bytes(b"no audio at all")
    with pytest.raises(ValueError, match=r"a\.ogg: cannot be decoded"):
        read_audio(tmp_path / "a.ogg")
    (tmp_path / "b.g722").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.g722: "):
        read_audio(tmp_path / "b.g722")


def test_packed_game_speech(tmp_path):
    encode(
        tmp_path / "a.mp3", 0.3 * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE), RATE, "libmp3lame", "mp3"
    )
    sound = (tmp_path / "a.mp3").read_bytes()
    start = 15 + 2 * 21
    entries = b"".join(
        name.ljust(12, b"\0") + b"\1" + (start + i * 5).to_bytes(4, "big") + size.to_bytes(4, "big")
        for i, (name, size) in enumerate([(b"ZOMBIE.ACT", 5), (b"0312B4P3.SB", len(sound))])
    )
    head = b"QTBL" + b"CEM10\0" + b"\0\0\1" + (2).to_bytes(2, "big")
    (tmp_path / "queen.1c").write_bytes(head + entries + b"12345" + sound)
    found = speech(tmp_path / "queen.1c")
    assert list(found) == ["0312B4P3.SB"] and frequency(found["0312B4P3.SB"]) == pytest.approx(500, abs=2)
    assert voice("0312B4J1.SB") == voice("JOE0001P.SB") == "joe" and voice("0312B4P3.SB") == "dialogue0312"
    (tmp_path / "queen.1c").write_bytes(b"PK zip")
    with pytest.raises(ValueError, match="not the packed game data"):
        speech(tmp_path / "queen.1c")


def test_babble_is_level_and_made_of_many_voices():
    voices = [speechlike(2, seed) for seed in range(12)]
    x = noises.babble(voices, 6, seed=0)
    assert abs(active_level(x) - noises.LEVEL_DB) < 0.1
    assert np.array_equal(x, noises.babble(voices, 6, seed=0))
    # One voice is silent half of the time, eight of them hardly ever
    power = (x[: len(x) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1)
    assert power.min() > 0.1 * power.mean()


def test_attribution_names_licence_and_credit(tmp_path):
    write_attribution(tmp_path / "A.md", ["asterisk-core-sounds-it-g722"])
    text = (tmp_path / "A.md").read_text()
    assert "CC-BY-3.0" in text and "Carlo Flora" in text and "46b4cf7a" in text
