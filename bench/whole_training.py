"""Fine-tuning as librispeech_demand does it, through ESPnet's own training: audio per second, use of the GPU.

    python bench/whole_training.py                       # Demucs-64, HuBERT-base's sizes, bfloat16
    python bench/whole_training.py --device cpu --updates 2 --tiny --ssl-dtype float32 --upstream FOLDER

The configuration is that of the recipe's stage 5, with noise mixed on the fly by four readers; the audio is
synthetic, utterances of 4 to 16 s.  The first of two epochs warms up; the second one counts, the start of its
readers included.  "GPU busy" is the driver's own figure (nvidia-smi): share of time in which a kernel ran.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean

import numpy as np
import soundfile
import yaml
from bench_common import environment, make_parser
from ddp_trainings import random_encoder, synthesize, write_lists
from recipe_scale_common import RATE, configuration

UTTERANCE = 10.0  # mean seconds
AUDIO_PER_UPDATE = configuration("demucs64", "ssl_mse")["batch_bins"] / RATE  # at most, padding included
EPOCH = re.compile(r"(\d+)epoch results: \[train\].*? time=(?:(\d+) minutes? and )?([\d.]+) seconds")


def write_data(folder: Path, updates: int, seconds: tuple[float, float]) -> None:
    """Speech for as many updates, a validation set, and two minutes of noise."""
    names = synthesize(folder / "audio", round(updates * AUDIO_PER_UPDATE / UTTERANCE), *seconds)
    write_lists(folder / "train", names, folder / "audio")
    write_lists(folder / "valid", names[:8], folder / "audio")
    noise = 0.05 * np.random.default_rng(1).standard_normal(120 * RATE)
    soundfile.write(folder / "noise.wav", noise, RATE)
    (folder / "noise.scp").write_text(f"noise {folder}/noise.wav\n", encoding="utf-8")


def write_config(folder: Path, criterion: str, upstream: str, args: argparse.Namespace) -> Path:
    """The recipe's configuration with this data; two epochs over all of it."""
    config = configuration("demucs64", criterion)
    for part in ("train", "valid"):
        config[f"{part}_shape_file"] = [f"{folder}/{part}/shape"]
        config[f"{part}_data_path_and_name_and_type"] = [
            [f"{folder}/{part}/{'clean' if part == 'train' else 'noisy'}.scp", "speech_mix", "sound"],
            [f"{folder}/{part}/clean.scp", "speech_ref1", "sound"],
        ]
    config["preprocessor_conf"]["noise_scp"] = f"{folder}/noise.scp"
    config["separator_conf"]["lstm_dtype"] = args.lstm_dtype
    config["criterions"][0]["conf"] |= {"upstream": upstream, "ssl_dtype": args.ssl_dtype}
    config |= {"output_dir": f"{folder}/{criterion}", "max_epoch": 2, "ngpu": int(args.device == "cuda")}
    config |= {"num_att_plot": 0, "use_tensorboard": False, "use_matplotlib": False, "log_interval": 10}
    del config["num_iters_per_epoch"]
    if args.tiny:
        config["separator_conf"]["hidden"], config["batch_bins"] = 4, 160000
    path = folder / f"{criterion}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def busy_while(log: Path, run: subprocess.Popen) -> list[int]:
    """The driver's percentages while the second epoch trains, ten times a second."""
    found: list[int] = []
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        threading.Thread(target=lambda: (run.wait(), driver.kill()), daemon=True).start()
        for line in driver.stdout:
            text = log.read_text(encoding="utf-8")
            if "2/2epoch started" in text and "2epoch results" not in text:
                found.append(int(line))
    return found


def train(config: Path, args: argparse.Namespace) -> tuple[float, float, list[int]]:
    """Run ESPnet's training; the second epoch's seconds, those of the whole process, the GPU's percentages.

    Raises:
        SystemExit: it failed.
    """
    log = config.with_suffix(".log")
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    start = time.time()
    with log.open("w") as stream:
        tool = ["-m", "espnet_posinv", "-m", "espnet2.bin.enh_train", "--config", str(config)]
        run = subprocess.Popen(
            [sys.executable, *tool], stdout=stream, stderr=stream, env={**os.environ, "PYTHONPATH": paths}
        )
        busy = busy_while(log, run) if args.device == "cuda" else []
        run.wait()
    text = log.read_text(encoding="utf-8")
    epochs = {int(n): 60 * int(m or 0) + float(s) for n, m, s in EPOCH.findall(text)}
    if run.returncode or 2 not in epochs:
        raise SystemExit(f"{config.stem}: the training ended with {run.returncode}:\n{text[-3000:]}")
    return epochs[2], time.time() - start, busy


def main(argv=None):
    parser = make_parser(__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--updates", type=int, default=60, help="in an epoch, about (60)")
    parser.add_argument("--ssl-dtype", default="bfloat16")
    parser.add_argument("--lstm-dtype", default="float32", help="float16: see espnet_posinv/enh/half_lstm.py")
    parser.add_argument("--upstream", help="an encoder; default: HuBERT-base's sizes, random weights")
    parser.add_argument("--criterions", nargs="+", default=["ssl_mse", "ssl_softdtw"])
    parser.add_argument("--tiny", action="store_true", help="a Demucs of 4 channels, short utterances")
    args = parser.parse_args(argv)
    print(environment())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, args.updates, (0.6, 1.2) if args.tiny else (4, 16))
        upstream = args.upstream or random_encoder(folder / "encoder.pt")
        frames = [int(line.split()[1]) for line in (folder / "train/shape").read_text().splitlines()]
        print(
            f"{sum(frames) / RATE:.0f} s of audio an epoch; encoder {args.ssl_dtype}, LSTM {args.lstm_dtype}"
        )
        print("| | epoch, s | audio s per s | GPU busy, % | whole process, s |\n|---|---:|---:|---:|---:|")
        for criterion in args.criterions:
            epoch, whole, busy = train(write_config(folder, criterion, upstream, args), args)
            share = f"{mean(busy):.0f}" if busy else ""
            rate = sum(frames) / RATE / epoch
            print(f"| {criterion} | {epoch:.2f} | {rate:.0f} | {share} | {whole:.0f} |", flush=True)


if __name__ == "__main__":
    main()
