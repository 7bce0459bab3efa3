"""Seconds and memory of a training batch of each model and criterion, for recipe_scale.py.

The batches are those of the recipe's configurations. The SSL model has HuBERT-base's sizes and random
weights, which take the same time as trained ones.
"""

import resource
import statistics
import time
from pathlib import Path
from unittest import mock

import torch
from bench_common import environment, random_hubert
from recipe_scale_common import CRITERIONS, HEADS, RATE, SECONDS, build, configuration, cpu_name, write

ROUNDS = 5  # timed batches; one more warms up
HEAD_SECONDS = 80.0  # of audio an update, the default of `posinv train-ctc`
PATIENCE = 1.0  # seconds after which a measurement has been repeated enough


def batch_shape(config: dict) -> tuple[int, int]:
    """Utterances and samples of a training batch."""
    if config["iterator_type"] == "chunk":
        return config["batch_size"], config["chunk_length"]
    return round(config["batch_bins"] / (SECONDS * RATE)), round(SECONDS * RATE)


def clock(function, device: str, rounds: int = ROUNDS) -> float:
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


def training(config: dict, device: str) -> dict:
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
    result = {"batch": clock(update, device)}
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * resource.getrusage(0).ru_maxrss
    result |= {"valid": clock(validate, device, 1), "GiB": peak / 2**30, "audio": size * samples / RATE}
    return result | {"parameters": sum(p.numel() for p in model.parameters()) / 1e6}


def head_training(name: str, device: str) -> dict:
    """Seconds of an update of a recogniser's head (`posinv train-ctc`), peak memory in GiB."""
    from espnet_posinv.asr.ctc_head import Head, hidden_states

    torch.manual_seed(0)
    encoder = random_hubert(layers="all").to(device)
    head = Head(13, 768, HEADS[name], kind=name.partition("_")[2]).to(device)
    optimizer = torch.optim.Adam(head.parameters())
    count = round(HEAD_SECONDS / SECONDS)
    wav = 0.1 * torch.randn(count, round(SECONDS * RATE), device=device)
    targets = torch.randint(1, HEADS[name], (count, 150))

    def update():
        optimizer.zero_grad()
        states, frames = hidden_states(encoder, wav)
        log_probs = head(states, frames).transpose(0, 1).cpu()
        lengths = torch.full((count,), targets.shape[1])
        torch.nn.functional.ctc_loss(log_probs, targets, frames.cpu(), lengths).backward()
        optimizer.step()

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = clock(update, device)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 1024 * resource.getrusage(0).ru_maxrss
    return {"batch": seconds, "GiB": peak / 2**30}


def measure(output: Path, models: list[str], device: str, until: float) -> None:
    """Training and fine-tuning of each model; `output` is written after each, none begins after `until`."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("recipe_scale: no GPU here; --device cpu tries the measurement without one")
    name = torch.cuda.get_device_name() if device == "cuda" else cpu_name()
    result = {"device": name, **environment()}
    for name in HEADS if "heads" in models else ():
        result[name] = head_training(name, device)
        print(name, result[name], flush=True)
        write(output, result)
    models = [model for model in models if model != "heads"]
    torch.backends.cudnn.deterministic = True  # ESPnet's default
    encoder = random_hubert().to(device)
    left = [(model, criterion) for model in models for criterion in (None, *CRITERIONS)]
    with mock.patch("espnet_posinv.criterions.base.load_encoder", lambda *_, **__: encoder):
        while left and time.monotonic() < until:
            model, criterion = left.pop(0)
            name = f"{model} {criterion or 'train'}"
            try:
                result[name] = training(configuration(model, criterion), device)
            except torch.cuda.OutOfMemoryError:
                result[name] = None
            print(name, result[name], flush=True)
            write(output, result)
            if device == "cuda":
                torch.cuda.empty_cache()
    if left:
        models = list(dict.fromkeys(model for model, _ in left))
        print(f"time is up: --models {' '.join(models)} into another file measures what is left")
