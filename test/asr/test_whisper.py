import os
from pathlib import Path

import numpy as np
import pytest

from espnet_posinv.asr.whisper import Whisper
from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import read_scp
from espnet_posinv.text.normalize import normalize

main = command("decode")

DOWNLOADS = Path(os.environ.get("POSINV_DOWNLOADS", Path(__file__).parents[2] / "egs2/mini_debian/downloads"))
PROMPTS = {
    "agent-pass": "please enter your password followed by the pound key",
    "auth-incorrect": "password incorrect please enter your password followed by the pound key",
    "goodbye": "goodbye",
}


@pytest.fixture(scope="module")
def prompts():
    """Prompts of a clean recording and the folder of Whisper tiny.en, as stage 1 fetches them."""
    from espnet_posinv.corpora.audio import read_audio

    folder = next(iter(DOWNLOADS.rglob("en_US_f_Allison")), None)
    if folder is None or not (DOWNLOADS / "whisper-tiny.en/model.bin").exists():
        pytest.skip(
            f"no whisper-tiny.en or English prompts under {DOWNLOADS}: stage 1 of mini_debian fetches them"
        )
    return {name: read_audio(folder / f"{name}.g722") for name in PROMPTS}, DOWNLOADS / "whisper-tiny.en"


@pytest.mark.parametrize("window", [30, 15])
def test_clean_prompts_are_recognised(prompts, window):
    audio, model = prompts
    whisper = Whisper(str(model), window=window)
    for name, wav in audio.items():
        assert normalize(whisper.transcribe(wav)) == PROMPTS[name]


def test_equals_faster_whisper_itself(prompts):
    from faster_whisper import WhisperModel

    audio, model = prompts
    reference = WhisperModel(
        str(model), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
    )
    noise = np.random.default_rng(0)
    for wav in (audio["agent-pass"], audio["goodbye"]):
        noisy = wav + 0.01 * noise.standard_normal(len(wav)).astype(np.float32)
        segments, _ = reference.transcribe(
            noisy,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            no_repeat_ngram_size=3,
            max_new_tokens=8 + int(6 * len(wav) / 16000),
        )
        text = " ".join(segment.text.strip() for segment in segments)
        assert Whisper(str(model)).transcribe(noisy) == text


def test_babble_cannot_loop(prompts):
    # Mixed prompts played ten times over: without the limits Whisper repeats a phrase to the end.
    audio, model = prompts
    wav = np.tile(sum(np.resize(w, 48000) for w in audio.values()), 3) / 3
    words = Whisper(str(model), window=15).transcribe(wav).split()
    assert len(words) <= 6 * 9 + 8
    trigrams = list(zip(words, words[1:], words[2:], strict=False))
    assert len(trigrams) == len(set(trigrams))


def test_command(prompts, tmp_path, capsys):
    import soundfile as sf

    audio, model = prompts
    for name, wav in audio.items():
        sf.write(tmp_path / f"{name}.wav", wav, 16000)
    (tmp_path / "wav.scp").write_text("".join(f"{name} {tmp_path}/{name}.wav\n" for name in audio))
    command = ["--wav-scp", f"{tmp_path}/wav.scp", "--output-dir", f"{tmp_path}/out", "--window", "15"]
    main([*command, "--model", str(model), "--nj", "2"])
    texts = read_scp(tmp_path / "out/text")
    assert {name: normalize(text) for name, text in texts.items()} == PROMPTS
    assert "3 utterances recognised" in capsys.readouterr().out


def test_errors(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(
        ValueError, match=r"no Whisper folder of faster-whisper: model.bin, tokenizer.json missing"
    ):
        Whisper(str(tmp_path))
    for window in (2, 31):
        with pytest.raises(ValueError, match=f"above 2 and at most 30 seconds, not {window}$"):
            Whisper(str(tmp_path), window=window)
    with pytest.raises(SystemExit, match=r"posinv decode: .* is no Whisper folder"):
        main(["--wav-scp", "x", "--output-dir", "y", "--model", str(tmp_path)])
    with pytest.raises(SystemExit):
        main(["--wav-scp", "x", "--wav-scp", "z", "--output-dir", "y", "--model", str(tmp_path)])
