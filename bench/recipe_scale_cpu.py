"""Seconds of one core for an hour of audio in the stages without a GPU, for recipe_scale.py."""

import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from bench_common import environment
from recipe_scale_common import RATE, SECONDS, build, configuration, cpu_name, write

from espnet_posinv.asr.whisper import Whisper
from espnet_posinv.corpora.mix import mix_data_dir
from espnet_posinv.corpora.prompts import prompts
from espnet_posinv.kaldi.audio import audio_info
from espnet_posinv.kaldi.scp import write_scp
from espnet_posinv.scoring.metrics import dnsmos, estoi, pesq, si_sdr

METRICS = (pesq, estoi, si_sdr, dnsmos)


def speech(downloads: Path, count: int) -> list[np.ndarray]:
    """Utterances (T,) of `SECONDS`, of English prompts one after the other."""
    whole = np.concatenate([p.read() for p in prompts("en", downloads)])
    return [whole[i * round(SECONDS * RATE) :][: round(SECONDS * RATE)] for i in range(count)]


def preparation(utterances: list[np.ndarray], folder: Path, note, result: dict) -> None:
    """Mixing and formatting; and what an hour of mixtures takes on disk."""
    wavs = {f"u{i}": str(folder / f"u{i}.flac") for i in range(len(utterances))}
    for path, x in zip(wavs.values(), utterances, strict=True):
        soundfile.write(path, x, RATE, subtype="PCM_16")
    write_scp(folder / "clean/wav.scp", wavs)
    write_scp(folder / "clean/utt2spk", {utt: utt for utt in wavs})
    noise = 0.05 * np.random.default_rng(0).standard_normal(90 * RATE)
    soundfile.write(folder / "noise.wav", noise, RATE, subtype="PCM_16")
    write_scp(folder / "noise.scp", {"noise": str(folder / "noise.wav")})
    mixing = (folder / "clean", folder / "noisy", folder / "noise.scp", [5, 10, 20])
    note("mix", lambda: mix_data_dir(*mixing))
    size = sum(p.stat().st_size for p in folder.rglob("noisy/audio-*/*.flac"))
    result["mixture bytes"] = size * 3600 / (len(utterances) * SECONDS)
    note("format", lambda: [audio_info(path) for path in wavs.values()])


@torch.no_grad()
def enhance(network: torch.nn.Module, utterances: list[np.ndarray]) -> None:
    """What stage 6 computes, one utterance at a time."""
    for wav in utterances:
        feature, lengths = network.encoder(torch.tensor(wav)[None], torch.tensor([len(wav)]))
        network.decoder(network.separator(feature, lengths)[0][0], torch.tensor([len(wav)]))


def measure(output: Path, models: list[str], count: int, whisper: Path | None, downloads: Path) -> None:
    """Preparation, enhancement, recognition, scoring of `count` utterances; `output` is written at last."""
    torch.set_num_threads(1)
    utterances = speech(downloads, count)
    result = {"device": cpu_name(), **environment()}

    def note(name: str, function) -> None:
        start = time.process_time()
        function()
        result[name] = (time.process_time() - start) * 3600 / (count * SECONDS)
        print(f"{name}: {result[name]:.0f} s for an hour", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        preparation(utterances, Path(folder), note, result)
    for model in models:
        network = build(configuration(model)).eval()
        enhance(network, [utterances[0][: RATE // 2]])  # buffers are made, kernels chosen
        note(f"enhance {model}", lambda network=network: enhance(network, utterances))
    if whisper:
        recogniser = Whisper(str(whisper))
        recogniser.transcribe(utterances[0])
        note("recognise", lambda: [recogniser.transcribe(x) for x in utterances])
    random = np.random.default_rng(1)
    pairs = [(x, x + 0.01 * random.standard_normal(len(x)).astype(np.float32)) for x in utterances]
    dnsmos(*pairs[0])  # loads its networks
    note("score", lambda: [metric(*pair) for pair in pairs for metric in METRICS])
    write(output, result)
