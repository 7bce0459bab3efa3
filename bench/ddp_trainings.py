"""The trainings of ddp.py: synthetic data, configurations, and processes that may be killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml
from ddp_notes import Notes, read

HERE = Path(__file__).parent
CRITERIONS = ("ssl_softdtw", "ssl_mse")
EPOCHS = 3  # the first warms up, the second is timed, in the last one a rank is killed
WORKER_ENVIRONMENT = {
    "NVIDIA_TF32_OVERRIDE": "0",
    "NCCL_NVLS_ENABLE": "0",  # NVLink multicast: not available in every container
    "NCCL_DEBUG": "WARN",
    "OMP_NUM_THREADS": "1",
}


def synthesize(folder: Path, count: int, shortest: float, longest: float) -> list[str]:
    """Write `count` pairs of voice-like clean and noisy speech; returns their names.  Seconds of audio."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [f"utt{i:04}" for i in range(count)]
    for name in names:
        n = int(16000 * rng.uniform(shortest, longest))
        t = np.arange(n) / 16000
        pitch = (
            np.cumsum(rng.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(0.3, 1) * t))) / 16000
        )
        voice = sum(np.sin(2 * np.pi * k * pitch + rng.uniform(0, 6)) / k for k in range(1, 9))
        syllables = np.sin(np.pi * rng.uniform(2, 4) * t + rng.uniform(0, 3)) ** 2
        clean = 0.05 * voice * syllables + 0.002 * rng.standard_normal(n)
        soundfile.write(folder / f"{name}.clean.wav", clean, 16000)
        soundfile.write(folder / f"{name}.noisy.wav", clean + 0.02 * rng.standard_normal(n), 16000)
    return names


def write_lists(folder: Path, names: list[str], audio: Path) -> None:
    folder.mkdir()
    for kind in ("clean", "noisy"):
        lines = (f"{name} {audio}/{name}.{kind}.wav\n" for name in names)
        (folder / f"{kind}.scp").write_text("".join(lines), encoding="utf-8")
    lines = (f"{name} {soundfile.info(audio / f'{name}.noisy.wav').frames}\n" for name in names)
    (folder / "shape").write_text("".join(lines), encoding="utf-8")


def random_encoder(path: Path) -> str:
    """An upstream of HuBERT-base's sizes with random weights."""
    from torchaudio.models import hubert_base

    torch.manual_seed(0)
    torch.save(hubert_base().state_dict(), path)
    return f"torchaudio:hubert_base,{path}"


class Trainings:
    """The trainings of a benchmark in the folder `work`."""

    def __init__(self, args, work: Path):
        self.args, self.work = args, work
        self.killed: dict[str, float] = {}  # when a rank of a training was killed

    def prepare(self):
        """The audio, a list of it for each global batch, and the encoder."""
        args = self.args
        names = synthesize(self.work / "audio", args.steps * max(args.counts) * args.batch, *args.seconds)
        for n in args.counts:
            batch = n * args.batch
            write_lists(self.work / f"train{n}", names[: args.steps * batch], self.work / "audio")
            write_lists(self.work / f"valid{n}", names[:batch], self.work / "audio")
        self.upstream = args.upstream or random_encoder(self.work / "encoder.pt")

    def config(self, criterion: str, processes: int, data: int) -> Path:
        """A training on `processes` GPUs with the global batch of `data` GPUs; returns its file."""
        files = {}
        for part in ("train", "valid"):
            folder = self.work / f"{part}{data}"
            files[f"{part}_shape_file"] = [f"{folder}/shape"]
            files[f"{part}_data_path_and_name_and_type"] = [
                [f"{folder}/noisy.scp", "speech_mix", "sound"],
                [f"{folder}/clean.scp", "speech_ref1", "sound"],
            ]
        path = self.work / f"{criterion}_{processes}of{data}.yaml"
        values = {
            "output_dir": str(path.with_suffix("")),
            "encoder": "same",
            "decoder": "same",
            "separator": "demucs",
            "separator_conf": {"hidden": 4 if self.args.tiny else 64},
            "criterions": [
                {
                    "name": criterion,
                    "conf": {"upstream": self.upstream},
                    "wrapper": "fixed_order",
                    "wrapper_conf": {"weight": 1.0},
                }
            ],
            **files,
            "batch_type": "sorted",
            "batch_size": data * self.args.batch,
            "num_workers": 0,  # of several GPUs they are spawned anew in each epoch: half a minute of imports
            "optim": "adamw",
            "optim_conf": {"lr": 1.0e-4},
            "max_epoch": EPOCHS,
            "keep_nbest_models": EPOCHS,
            "best_model_criterion": [["valid", "loss", "min"]],
            "num_att_plot": 0,
            "use_tensorboard": False,
            "use_matplotlib": False,
            "log_interval": 1,
            "seed": 0,
            "resume": True,
            "ngpu": 0 if self.args.cpu else processes,
            "multiprocessing_distributed": not self.args.cpu,
        }
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    def train(self, name: str, configs: list[Path], processes: int, kill: Path | None = None) -> None:
        """Run the trainings in a process of their own; kill the last rank of `kill` in its last epoch."""
        command = [sys.executable, str(HERE / "ddp_worker.py"), *map(str, configs)]
        if self.args.cpu:
            command += ["--cpu-processes", str(processes)]
        paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, **WORKER_ENVIRONMENT, "PYTHONPATH": paths}
        log, start = self.work / f"{name}.log", time.time()
        with log.open("w") as stream:
            run = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=environment, start_new_session=True
            )
            try:
                while run.poll() is None:
                    if time.time() - start > self.args.timeout:
                        raise TimeoutError(f"{name}: not finished after {self.args.timeout} s{tail(log)}")
                    if kill is not None and self._killed(kill, processes - 1):
                        kill = None
                    time.sleep(0.01)
            finally:
                if run.poll() is None:
                    os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        print(f"{name}: {time.time() - start:.0f} s", flush=True)
        if kill is not None:
            raise RuntimeError(f"{name}: ended before a rank could be killed{tail(log)}")

    def _killed(self, config, rank):
        last = read(config.with_suffix("") / f"rank{rank}.0.jsonl")[-1:]
        if not last or (last[0]["epoch"], last[0]["step"]) < (EPOCHS, 2):
            return False
        self.killed[config.stem] = time.time()
        os.kill(last[0]["pid"], signal.SIGKILL)
        return True

    def run_on_one(self):
        """One process trains everything that is compared with: its own batch, and that of N GPUs."""
        configs = [self.config(c, 1, n) for n in self.args.counts for c in CRITERIONS]
        self.train("1 process", configs, 1)
        self.check_steps("1 process", configs)

    def run_on(self, n):
        """SSL-SoftDTW twice, because the first is killed, then SSL-MSE."""
        softdtw, mse = (self.config(c, n, n) for c in CRITERIONS)
        self.train(f"{n} processes", [softdtw, softdtw, mse], n, kill=softdtw)
        self.check_steps(f"{n} processes", [softdtw, mse])

    def check_steps(self, name, configs):
        """A training that stopped before its first step left its reason in the log."""
        for config in configs:
            if not any(map(read, config.with_suffix("").glob("rank0.*.jsonl"))):
                raise RuntimeError(f"{config.stem} made no step{tail(self.work / f'{name}.log')}")

    def notes(self, criterion, processes, data, attempt=0) -> Notes:
        """Of the training on `processes` GPUs with the global batch of `data` GPUs."""
        folder = self.work / f"{criterion}_{processes}of{data}"
        notes = Notes([read(folder / f"rank{rank}.{attempt}.jsonl") for rank in range(processes)])
        if not notes.complete:
            again = " when it was run again" if attempt else ""
            raise RuntimeError(f"{folder.name} made no step{again}: see its training above")
        return notes


def tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
    return "\n".join([f"; the end of {log}:", *lines])
