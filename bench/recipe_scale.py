"""Disk, GPU-hours and wall time of egs2/librispeech_demand, stage by stage, from measured throughput.

    python bench/recipe_scale.py measure-cpu --output bench/results/recipe_scale_cpu.json
    python bench/recipe_scale.py measure-gpu --output bench/results/recipe_scale_h100.json  # needs a GPU
    python bench/recipe_scale.py table bench/results/recipe_scale_*.json --cores 64 --gpus 1

Measured is this code on one core or one GPU, with the recipe's own configurations: seconds of computation
for an hour of audio (preparation, enhancement, recognition, scoring), seconds of a batch (training). The SSL
model has HuBERT-base's sizes and random weights, which take the same time. The table multiplies by the hours
and batches of the recipe; it assumes that jobs share CPU work evenly, and GPUs a batch without loss.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml

from espnet_posinv.corpora.demand import ENVIRONMENTS
from espnet_posinv.corpora.librispeech import PARTS
from espnet_posinv.kaldi.scp import atomic_write
from espnet_posinv.recipe.config import load, merge

ROOT = Path(__file__).parents[1]
CONF = ROOT / "egs2/librispeech_demand/enh1/conf"
MODELS = ("demucs48", "demucs64", "convtasnet", "bsrnn", "tfgridnet")
CRITERIONS = ("ssl_mse", "ssl_mse_pad", "ssl_softdtw")
RATE = 16000
PATIENCE = 2.0  # seconds after which a measurement has been repeated enough
SECONDS = 12.8  # mean length of an utterance of train-clean-100
DEV_HOURS, TEST_HOURS = PARTS["dev-clean"].hours / 5, PARTS["test-clean"].hours


def configuration(model: str, criterion: str | None = None) -> dict:
    """What stage 4 trains `model` with, or stage 5 fine-tunes it with."""
    files = [CONF / "common.yaml", CONF / f"train_{model}.yaml"]
    if criterion:
        files += [CONF / f"finetune_{model.rstrip('0123456789')}.yaml", CONF / f"criterion/{criterion}.yaml"]
    config = {}
    for file in files:
        config = merge(config, load(file))
    return config


def build(config: dict) -> torch.nn.Module:
    """The ESPnet model of a configuration."""
    from espnet_posinv.enh.task import PosinvEnhancementTask

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        args = PosinvEnhancementTask.get_parser().parse_args(["--config", file.name])
    return PosinvEnhancementTask.build_model(args)


def batch_shape(config: dict) -> tuple[int, int]:
    """Utterances and samples of a training batch."""
    if config["iterator_type"] == "chunk":
        return config["batch_size"], config["chunk_length"]
    return round(config["batch_bins"] / (SECONDS * RATE)), round(SECONDS * RATE)


def epoch_batches(config: dict) -> float:
    """Batches of an epoch. With chunks, ESPnet counts utterances, each of which gives several chunks."""
    count = config["num_iters_per_epoch"]
    if config["iterator_type"] != "chunk":
        return count
    length = config["chunk_length"]
    shift = length * config.get("chunk_shift_ratio", 0.5)  # ESPnet's default
    return count * ((SECONDS * RATE - length) / shift + 0.5) / config["batch_size"]


def random_hubert() -> torch.nn.Module:
    """An encoder of HuBERT-base's sizes with random weights."""
    from espnet_posinv.ssl import SSLEncoder
    from espnet_posinv.ssl.wav2vec2 import Wav2Vec2Config, Wav2Vec2Network

    torch.manual_seed(0)
    return SSLEncoder(Wav2Vec2Network(Wav2Vec2Config()), label="HuBERT-base's sizes, random weights")


def clock(function, device: str, rounds: int) -> float:
    """Median seconds of a call after one that warms up: of this thread's work, or of the device's."""
    times = []
    now = time.perf_counter if device == "cuda" else time.process_time
    while len(times) <= rounds and sum(times[1:]) < PATIENCE:
        start = now()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(now() - start)
    return statistics.median(times[1:])


def training(config: dict, device: str, rounds: int) -> dict:
    """Seconds of a training and of a validation batch, peak memory in GiB, millions of parameters."""
    torch.manual_seed(0)
    model = build(config).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    size, samples = batch_shape(config)
    ref = 0.1 * torch.randn(size, samples, device=device)
    batch = {
        "speech_mix": ref + 0.05 * torch.randn_like(ref),
        "speech_ref1": ref,
        "utt_id": list(map(str, range(size))),
    }
    batch["speech_mix_lengths"] = torch.full((size,), samples, device=device)

    def update():
        model.train()
        optimizer.zero_grad()
        model(**batch)[0].backward()
        optimizer.step()

    def validate():
        model.eval()
        with torch.no_grad():
            model(**batch)

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    result = {"batch": clock(update, device, rounds)}
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * resource.getrusage(0).ru_maxrss
    result |= {"valid": clock(validate, device, 1), "GiB": peak / 2**30, "audio": size * samples / RATE}
    return result | {"parameters": sum(p.numel() for p in model.parameters()) / 1e6}


def measure_gpu(args) -> dict:
    """Training and fine-tuning of each model; the file is written after each."""
    result = {"device": torch.cuda.get_device_name() if args.device == "cuda" else cpu_name()}
    torch.backends.cudnn.deterministic = True  # so ESPnet trains, unless told otherwise
    encoder = random_hubert().to(args.device)
    with mock.patch("espnet_posinv.criterions.base.load_encoder", lambda *_, **__: encoder):
        for model in args.models:
            for criterion in (None, *CRITERIONS):
                name = f"{model} {criterion or 'train'}"
                try:
                    result[name] = training(configuration(model, criterion), args.device, args.rounds)
                except torch.cuda.OutOfMemoryError:
                    result[name] = None
                print(name, result[name], flush=True)
                write(args.output, result)
                if args.device == "cuda":
                    torch.cuda.empty_cache()
    return result


def write(output: Path, result: dict) -> None:
    """Figures so far, as JSON."""
    with atomic_write(output) as file:
        file.write(json.dumps(result, indent=1) + "\n")


def speech(downloads: Path, count: int) -> list[np.ndarray]:
    """Utterances (T,) of about `SECONDS`, of English prompts one after the other."""
    from espnet_posinv.sources.asterisk import prompts

    whole = np.concatenate([p.read() for p in prompts("en", downloads)])
    return [whole[i * round(SECONDS * RATE) :][: round(SECONDS * RATE)] for i in range(count)]


def measure_cpu(args) -> dict:
    """Seconds of one core for an hour of audio, and bytes of an hour of mixtures."""
    from espnet_posinv.asr.whisper import Whisper
    from espnet_posinv.corpora.mix import mix_data_dir
    from espnet_posinv.kaldi.audio import audio_info
    from espnet_posinv.kaldi.scp import write_scp
    from espnet_posinv.scoring.signal import dnsmos, estoi, pesq, si_sdr

    torch.set_num_threads(1)
    hours = args.utterances * SECONDS / 3600
    result = {"device": cpu_name()}

    def note(name: str, function) -> None:
        start = time.process_time()
        function()
        result[name] = (time.process_time() - start) / hours
        print(f"{name}: {result[name]:.0f} s for an hour", flush=True)

    import soundfile

    utterances = speech(args.downloads, args.utterances)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        wavs = {f"u{i}": str(folder / f"u{i}.flac") for i in range(args.utterances)}
        for path, x in zip(wavs.values(), utterances, strict=True):
            soundfile.write(path, x, RATE, subtype="PCM_16")
        write_scp(folder / "clean/wav.scp", wavs)
        write_scp(folder / "clean/utt2spk", {utt: utt for utt in wavs})
        noise = 0.05 * np.random.default_rng(0).standard_normal(90 * RATE)
        soundfile.write(folder / "noise.wav", noise, RATE, subtype="PCM_16")
        write_scp(folder / "noise.scp", {"noise": str(folder / "noise.wav")})
        note(
            "mix", lambda: mix_data_dir(folder / "clean", folder / "noisy", folder / "noise.scp", [5, 10, 20])
        )
        result["mixture bytes"] = sum(p.stat().st_size for p in folder.rglob("noisy/audio-*/*.flac")) / hours
        note("format", lambda: [audio_info(path) for path in wavs.values()])
    for model in args.models:
        network = build(configuration(model)).eval()
        for x in (utterances[0][: RATE // 2], None):  # half a second first: buffers are made, kernels chosen
            batch = utterances if x is None else [x]

            def enhance(network=network, batch=batch):
                with torch.no_grad():
                    for wav in batch:
                        feature, lengths = network.encoder(torch.tensor(wav)[None], torch.tensor([len(wav)]))
                        network.decoder(network.separator(feature, lengths)[0][0], torch.tensor([len(wav)]))

            if x is None:
                note(f"enhance {model}", enhance)
            else:
                enhance()
    if args.whisper:
        recogniser = Whisper(str(args.whisper))
        recogniser.transcribe(utterances[0])
        note("recognise", lambda: [recogniser.transcribe(x) for x in utterances])
    noisy = [
        x + 0.01 * np.random.default_rng(1).standard_normal(len(x)).astype(np.float32) for x in utterances
    ]
    pairs = list(zip(utterances, noisy, strict=True))
    metrics = (pesq, estoi, si_sdr, dnsmos)
    dnsmos(*pairs[0])  # loads its networks
    note("score", lambda: [metric(*pair) for pair in pairs for metric in metrics])
    return result


def cpu_name() -> str:
    """Model of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine()
    )


def gpu_hours(data: dict, model: str, name: str) -> float | None:
    """Hours of one GPU for a training ("train") or a fine-tuning (its criterion), with validation."""
    if not (found := data.get(f"{model} {name}")):
        return None
    config = configuration(model, None if name == "train" else name)
    steps = config["max_epoch"] * epoch_batches(config) * found["batch"]
    return (steps + config["max_epoch"] * DEV_HOURS * 3600 / found["audio"] * found["valid"]) / 3600


def trainings(data: dict, cell) -> str:
    """A row for each model that was measured: GPU-hours, GPU memory, and how many cores feed the GPU.

    Cores: what mixing a batch's audio costs a core over what the batch costs the GPU; mixing for a set, which
    was measured, also writes files.
    """
    heads = ["model", "training", *(f"`{criterion}`" for criterion in CRITERIONS), "GiB", "cores"]
    lines = [f"| {' | '.join(heads)} |\n|---|" + "---:|" * (len(heads) - 1)]
    for model in MODELS:
        found = [data.get(f"{model} {name}") for name in ("train", *CRITERIONS)]
        if not any(found):
            continue
        hours = [gpu_hours(data, model, name) for name in ("train", *CRITERIONS)]
        memory = max(x["GiB"] for x in found if x)
        cores = None
        if "mix" in data:
            cores = max(x["audio"] / 3600 * data["mix"] / x["batch"] for x in found if x)
        lines.append(f"| `{model}` | {' | '.join(map(cell, [*hours, memory, cores]))} |")
    return "\n".join(lines)


def rows(data: dict, model: str, size: str, cores: int, gpus: int, bandwidth: float) -> list[tuple]:
    """(stage, disk in GB, core-hours, GPU-hours, wall in hours), None where nothing was measured."""
    parts = {"100": ["train-clean-100"], "960": ["train-clean-100", "train-clean-360", "train-other-500"]}[
        size
    ]
    hours = sum(PARTS[p].hours for p in parts)
    tarballs = sum(PARTS[p].size for p in (*parts, "dev-clean", "test-clean")) / 1e9
    zips = sum(size for _, size in ENVIRONMENTS.values()) / 1e9
    mixed = DEV_HOURS + 2 * TEST_HOURS
    systems = 1 + len(CRITERIONS)

    def cpu(name: str, amount: float) -> float | None:
        return amount * data[name] / 3600 if name in data else None

    def models(count: int) -> float | None:
        found = data.get(f"{model} train")
        # checkpoint with Adam's two moments, the best and the last model
        return count * found["parameters"] * 4e6 * 5 / 1e9 if found else None

    def row(stage, disk, core_hours=0.0, gpu_hours=0.0, fetched=0.0):
        known = None not in (core_hours, gpu_hours)
        wall = core_hours / cores + gpu_hours / gpus + fetched * 1e3 / bandwidth / 3600 if known else None
        return stage, disk, core_hours, gpu_hours, wall

    tuned = [gpu_hours(data, model, criterion) for criterion in CRITERIONS]
    tuning = None if None in tuned else sum(tuned)
    test = 3 * TEST_HOURS
    enhanced = systems * test * 3600 * 2 * RATE / 1e9
    made = None
    if "mixture bytes" in data:  # and five minutes of noise for each environment
        made = (mixed * data["mixture bytes"] + len(ENVIRONMENTS) * 300 * 2 * RATE) / 1e9
    return [
        row("1 fetch and unpack", 2 * tarballs + zips, 0.0, 0.0, tarballs + zips),
        row("1 mix", made, cpu("mix", mixed)),
        row("3 format", 0.0, cpu("format", 2 * (hours + mixed + TEST_HOURS))),
        row(f"4 train {model}", models(1), 0.0, gpu_hours(data, model, "train")),
        row("5 fine-tune, 3 criterions", models(len(CRITERIONS)), 0.0, tuning),
        row(f"6 enhance, {systems} systems", enhanced, cpu(f"enhance {model}", systems * test)),
        row(f"7 recognise, {systems + 1} systems", 0.0, cpu("recognise", (systems + 1) * test)),
        row(f"8 score, {systems + 1} systems", 0.0, cpu("score", (systems + 1) * test)),
    ]


def table(args) -> str:
    """Markdown tables of both sizes."""
    data, devices = {}, []
    for path in args.files:
        found = json.loads(Path(path).read_text())
        devices.append(found.pop("device"))
        data |= found

    def cell(value: float | None) -> str:
        if value is None:
            return "not measured"
        if value < 0.01:
            return "< 0.01" if value else "-"
        return f"{value:.2g}" if value < 10 else f"{value:.0f}"

    out = [
        f"Measured on {' and '.join(dict.fromkeys(devices)) or 'no machine yet'}; for {args.cores} cores, "
        f"{args.gpus} GPU(s) and {args.bandwidth:g} MB/s of network. One seed, one SSL model."
    ]
    for size in ("100", "960"):
        lines = rows(data, args.model, size, args.cores, args.gpus, args.bandwidth)
        known = [
            [x for x in column if x is not None] for column in zip(*(line[1:] for line in lines), strict=True)
        ]
        total = ["**sum of what is known**", *(f"**{cell(sum(column))}**" for column in known)]
        out.append(f"\nLibriSpeech-{size}, `{args.model}`:\n")
        out.append("| stage | disk, GB | core-hours | GPU-hours | wall, hours |\n|---|---:|---:|---:|---:|")
        out += [f"| {line[0]} | {' | '.join(map(cell, line[1:]))} |" for line in lines]
        out.append(f"| {' | '.join(total)} |")
    if any(name.endswith(" train") for name in data):
        out += ["\nGPU-hours of one training, GPU memory, and cores that make its mixtures in time:\n"]
        out.append(trainings(data, cell))
    return "\n".join(out)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("measure-cpu", "measure-gpu"):
        sub = commands.add_parser(name)
        sub.add_argument("--output", type=Path, required=True, help="JSON file")
        sub.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
        if name == "measure-gpu":
            sub.add_argument("--device", default="cuda")
            sub.add_argument("--rounds", type=int, default=5, help="timed batches; one more warms up")
        else:
            sub.add_argument("--utterances", type=int, default=5, help=f"of {SECONDS} s")
            sub.add_argument("--whisper", type=Path, help="folder of the recogniser")
            sub.add_argument("--downloads", type=Path, default=ROOT / "egs2/mini_debian/downloads")
    sub = commands.add_parser("table")
    sub.add_argument("files", nargs="*", help="what was measured; without any, disk and network alone")
    sub.add_argument("--model", default="demucs64", choices=MODELS)
    sub.add_argument("--cores", type=int, default=64)
    sub.add_argument("--gpus", type=int, default=1)
    sub.add_argument("--bandwidth", type=float, default=20.0, help="of the network, MB/s")
    args = parser.parse_args(argv)
    if args.command == "table":
        print(table(args))
        return
    write(args.output, measure_cpu(args) if args.command == "measure-cpu" else measure_gpu(args))


if __name__ == "__main__":
    main()
