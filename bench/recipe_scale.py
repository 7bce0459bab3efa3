"""Disk, GPU-hours and wall time of egs2/librispeech_demand, stage by stage, from measured throughput.

    python bench/recipe_scale.py measure-cpu --output bench/results/recipe_scale_cpu.json
    python bench/recipe_scale.py measure-gpu --output bench/results/recipe_scale_h100.json  # needs a GPU
    python bench/recipe_scale.py table bench/results/recipe_scale_*.json --cores 64 --gpus 1

Measured is this code on one core or one GPU, with the recipe's own configurations: seconds of computation
for an hour of audio (preparation, enhancement, recognition, scoring), seconds of a batch (training). The SSL
model has HuBERT-base's sizes and random weights, which take the same time. The table multiplies by the hours
and batches of the recipe; it assumes that jobs share CPU work evenly, and GPUs a batch without loss.
"""

import json
import time
from pathlib import Path

from bench_common import make_parser
from recipe_scale_common import CRITERIONS, HEADS, MODELS, RATE, ROOT, SECONDS, configuration

from espnet_posinv.corpora.demand import ENVIRONMENTS
from espnet_posinv.corpora.librispeech import PARTS

HEAD_UPDATES = 20_000  # the default of `posinv train-ctc`
DEV_HOURS, TEST_HOURS = PARTS["dev-clean"].hours / 5, PARTS["test-clean"].hours


def epoch_batches(config: dict) -> float:
    """Batches of an epoch. With chunks, ESPnet counts utterances, each of which gives several chunks."""
    count = config["num_iters_per_epoch"]
    if config["iterator_type"] != "chunk":
        return count
    length = config["chunk_length"]
    shift = length * config.get("chunk_shift_ratio", 0.5)  # ESPnet's default
    return count * ((SECONDS * RATE - length) / shift + 0.5) / config["batch_size"]


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
    updates = [HEAD_UPDATES * data[name]["batch"] / 3600 if name in data else None for name in HEADS]
    heads = None if None in updates else sum(updates)
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
        row(f"7 train {len(HEADS)} recognisers on the SSL model", 0.0, 0.0, heads),
        row(f"7 recognise with Whisper, {systems + 1} systems", 0.0, cpu("recognise", (systems + 1) * test)),
        row(f"8 score, {systems + 1} systems", 0.0, cpu("score", (systems + 1) * test)),
    ]


def table(args) -> str:
    """Markdown tables of both sizes."""
    data, origins = {}, []
    for path in args.files:
        found = json.loads(Path(path).read_text())
        made = [f"{name} {found[name]}" for name in ("torch", "revision") if found.get(name)]
        origins.append(found["device"] + (f" ({', '.join(made)})" if made else ""))
        data |= found

    def cell(value: float | None) -> str:
        if value is None:
            return "not measured"
        if value < 0.01:
            return "< 0.01" if value else "-"
        return f"{value:.2g}" if value < 10 else f"{value:.0f}"

    out = [
        f"Measured on {' and '.join(dict.fromkeys(origins)) or 'no machine yet'}; for {args.cores} cores, "
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
    start = time.monotonic()
    parser = make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    cpu = commands.add_parser("measure-cpu", help="what one core takes for an hour of audio")
    gpu = commands.add_parser("measure-gpu", help="what one GPU takes for a batch; about a minute")
    for sub, more in ((cpu, ()), (gpu, ("heads",))):
        sub.add_argument("--output", type=Path, required=True, help="JSON file that gets the figures")
        sub.add_argument("--models", nargs="+", default=[*more, *MODELS], choices=[*more, *MODELS])
    cpu.add_argument("--utterances", type=int, default=5, help=f"of {SECONDS} s")
    cpu.add_argument("--whisper", type=Path, help="folder of the recogniser")
    cpu.add_argument("--downloads", type=Path, default=ROOT / "egs2/mini_debian/downloads")
    gpu.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    gpu.add_argument("--seconds", type=float, default=75, help="no measurement begins later (%(default)s)")
    sub = commands.add_parser("table", help="Markdown tables of what was measured")
    sub.add_argument("files", nargs="*", help="what was measured; without any, disk and network alone")
    sub.add_argument("--model", default="demucs64", choices=MODELS)
    sub.add_argument("--cores", type=int, default=64)
    sub.add_argument("--gpus", type=int, default=1)
    sub.add_argument("--bandwidth", type=float, default=20.0, help="of the network, MB/s")
    args = parser.parse_args(argv)
    if args.command == "table":
        print(table(args))
    elif args.command == "measure-cpu":  # imported only here: what is measured takes long to import
        from recipe_scale_cpu import measure

        measure(args.output, args.models, args.utterances, args.whisper, args.downloads)
    else:
        from recipe_scale_gpu import measure

        measure(args.output, args.models, args.device, start + args.seconds)


if __name__ == "__main__":
    main()
