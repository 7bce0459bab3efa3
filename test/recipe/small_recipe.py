"""A recipe of three utterances a set that is through all its stages in seconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[2]
SETS = ("train", "valid", "test_clean", "test_noisy")
DATA_SH = """#!/usr/bin/env bash
set -euo pipefail
if [ -e db.sh ]; then . ./db.sh; fi
for s in corpus/*; do mkdir -p "$2/${s##*/}"; cp "${s}"/* "$2/${s##*/}"; done
sed -i "s/one/${said:-one}/" "$2/test_clean/text"
"""


class SmallRecipe:
    """A folder with a recipe, whose table :meth:`run` gives.

    Args:
        folder: to be made.
        seed: of its audio.
    """

    def __init__(self, folder: Path, seed: int = 0):
        self.folder = folder
        made = [ROOT / "egs2/TEMPLATE/enh1/setup.sh", folder]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        (folder / "local/data.sh").write_text(DATA_SH)
        (folder / "enh.sh").unlink()
        shutil.copy(ROOT / "egs2/TEMPLATE/enh1/enh.sh", folder)  # a shell reads on in a file that changes
        draw = np.random.default_rng(seed)
        for name in SETS:
            data = folder / "corpus" / name
            data.mkdir(parents=True)
            ids = [f"s{i}-{name}" for i in range(3)]
            for kind in ("wav", "spk1"):
                paths = {utt: folder / "audio" / f"{kind}-{utt}.wav" for utt in ids}
                for path in paths.values():
                    self.write_audio(path, draw)
                lines = (f"{utt} {path.relative_to(folder)}\n" for utt, path in paths.items())
                (data / f"{kind}.scp").write_text("".join(lines))
            (data / "text").write_text("".join(f"{utt} one two\n" for utt in ids))
            (data / "utt2spk").write_text("".join(f"{utt} {utt[:2]}\n" for utt in ids))
            (data / "spk2utt").write_text("".join(f"{utt[:2]} {utt}\n" for utt in ids))
        for name in ("ssl", "whisper", "head", "packed"):
            (folder / name).mkdir()
            (folder / name / "weights").write_text(name)
        (folder / "packed/config.yaml").write_text("separator: nsnet2\n")
        (folder / "packed/model.pth").write_text("packed")
        (folder / "head/config.json").write_text('{\n "kind": "phones",\n "lexicon": "./lexicon.txt"\n}\n')
        for name in ("nsnet2.onnx", "lexicon.txt", "lm.arpa", "rules.py", "ge2e.whl"):
            (folder / name).write_text(name)
        self.write_audio(folder / "audio/rain.wav", draw)
        (folder / "noise.scp").write_text("rain audio/rain.wav\n")

    @staticmethod
    def write_audio(path: Path, draw: np.random.Generator) -> None:
        """A second of noise."""
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, draw.normal(0, 0.1, 16000), 16000)

    def start(self, *options: str, **how) -> subprocess.Popen:
        """Begin to run the recipe, as a process group of its own; `how` goes to Popen, `env` beside ours."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "STAND_IN_LOG": str(self.folder / "calls")}
        env |= how.pop("env", {})
        stand_in = f"{sys.executable} {Path(__file__).with_name('stand_in.py')}"
        command = ["./enh.sh", "--python", stand_in, "--nj", "2", "--train_threads", "1"]
        command += ["--train_set", "train", "--valid_set", "valid", "--test_sets", "test_clean test_noisy"]
        command += ["--clean_set", "test_clean", "--pretrained", "nsnet2.onnx", "--criterion", "ssl_mse"]
        command += ["--finetune_config", "conf/finetune.yaml", "--upstreams", "own=transformers:./ssl"]
        command += ["--finetune_args", "--set preprocessor_conf.noise_scp=./noise.scp"]
        command += ["--recognisers", "small=whisper:./whisper,lm=lm.arpa phones=ssl_ctc:./head"]
        command += ["--packed", "packed", "--normaliser", "rules.py:words", "--data_from", "corpus"]
        command += ["--tasks", "speaker=speaker:utt2spk:ge2e:./ge2e.whl", *options]
        return subprocess.Popen(command, cwd=self.folder, env=env, start_new_session=True, text=True, **how)

    def call(self, *options: str, **env: str) -> subprocess.CompletedProcess:
        """Run the recipe; `env`: variables of its environment."""
        process = self.start(*options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        out, err = process.communicate(timeout=1200)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, *options: str, **env: str) -> str:
        """The table."""
        done = self.call(*options, **env)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return self.table()

    def table(self) -> str:
        """The table as it is there."""
        return (self.folder / "exp/RESULTS.md").read_text().partition("\n")[2]

    def copy(self, folder: Path) -> "SmallRecipe":
        """A recipe of its own, all paths in it."""
        shutil.copytree(self.folder, folder, symlinks=True)
        for name in ("enh.sh", "path.sh", "cmd.sh", "utils", "conf/slurm.conf", "conf/queue.conf"):
            there = folder / name
            if there.is_symlink():
                there.unlink()
                there.symlink_to((self.folder / name).resolve())
        for path in folder.rglob("*.scp"):
            path.write_text(path.read_text().replace(f"{self.folder}/", f"{folder}/"))
        made = object.__new__(SmallRecipe)
        made.folder = folder
        return made

    def calls(self) -> list[str]:
        """What was called since the last time that this was asked."""
        log = self.folder / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines
