import os
from pathlib import Path

import numpy as np
import pytest

from espnet_posinv.asr.decode import CutOff
from espnet_posinv.asr.whisper import Whisper, _load
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
        str(model), device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True
    )
    noise = np.random.default_rng(0)
    for wav in (audio["agent-pass"], audio["goodbye"]):
        noisy = wav + 0.01 * noise.standard_normal(len(wav)).astype(np.float32)
        segments, _ = reference.transcribe(noisy, beam_size=1, condition_on_previous_text=False)
        text = " ".join(segment.text.strip() for segment in segments)
        assert normalize(Whisper(str(model)).transcribe(noisy)) == normalize(text)


def test_what_is_said_twice_is_written_twice(prompts):
    audio, model = prompts
    twice = np.concatenate([audio["agent-pass"], np.zeros(4000, np.float32)] * 2)
    assert normalize(Whisper(str(model)).transcribe(twice)) == " ".join([PROMPTS["agent-pass"]] * 2)


@pytest.mark.slow
def test_babble_cannot_loop_and_does_not_depend_on_what_came_before(prompts):
    # Mixed prompts played three times over: without a fallback Whisper repeats a phrase to the end.
    audio, model = prompts
    wav = np.tile(sum(np.resize(w, 48000) for w in audio.values()), 3) / 3
    noise = 0.3 * np.random.default_rng(1).standard_normal(32000).astype(np.float32)
    whisper = Whisper(str(model), window=15)
    text = whisper.transcribe(wav)
    assert len(text.split()) <= 6 * 9 + 8
    whisper.transcribe(noise + np.resize(audio["goodbye"], 32000))
    assert whisper.transcribe(wav) == text


@pytest.mark.slow
def test_the_limit_is_the_models_own_and_is_reported(prompts, monkeypatch):
    # A decoder that never ends its text
    audio, model = prompts
    monkeypatch.setattr("espnet_posinv.asr.whisper.TEMPERATURES", (0.0,))
    network = _load(Whisper(str(model), window=14), os.getpid())
    decoder = network.model

    class Endless:
        is_multilingual = decoder.is_multilingual

        def generate(self, *args, **options):
            return decoder.generate(*args, **{**options, "suppress_tokens": [-1, 50256]})

        def __getattr__(self, name):
            return getattr(decoder, name)

    monkeypatch.setattr(network, "model", Endless())
    with pytest.warns(CutOff, match="cut off at 44[34] tokens"):
        Whisper(str(model), window=14).transcribe(audio["goodbye"])


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
