"""What the stages of a recipe send to the cluster: formatting and scoring, on a real Slurm."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
CORPUS = """\
#!/usr/bin/env bash
set -euo pipefail
for name in train valid test; do
    mkdir -p "data/${name}"
    for file in wav spk1; do echo "s-u ${PWD}/${file}.wav" > "data/${name}/${file}.scp"; done
    echo "s-u s" > "data/${name}/utt2spk"
    echo "s s-u" > "data/${name}/spk2utt"
    echo "s-u HELLO" > "data/${name}/text"
done
"""


@pytest.fixture
def recipe(slurm):
    """run.sh of a new recipe whose corpus is one noisy tone."""
    folder = slurm.directory / "corpus/enh1"
    subprocess.run([ROOT / "egs2/TEMPLATE/enh1/setup.sh", folder], check=True, capture_output=True)
    (folder / "local/data.sh").write_text(CORPUS)
    clean = 0.2 * np.sin(np.arange(24000) / 9)
    noise = 0.02 * np.random.default_rng(0).standard_normal(24000)
    for name, wave in (("spk1", clean), ("wav", clean + noise)):
        soundfile.write(folder / f"{name}.wav", wave, 48000, subtype="FLOAT")

    def run(*options):
        command = [
            folder / "run.sh",
            "--cmd-backend",
            "slurm",
            "--test_sets",
            "test",
            "--clean_set",
            "test",
            "--pretrained",
            "",
            "--upstreams",
            "",
            *options,
        ]
        corpus = dict.fromkeys(("AUDIO", "TRANSCRIPTS", "NOISE"), str(folder / "wav.wav"))
        env = {**slurm.environment, "PYTHONPATH": str(ROOT), **corpus}
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)

    run.folder = folder
    return run


def jobs(folder):
    """{log: its text} of what ran on Slurm in a folder."""
    submitted = [path.parent for path in folder.rglob("q/*/jobs") if path.read_text().startswith("Slurm ")]
    logs = [log for path in submitted for log in path.parent.parent.glob("*.log")]
    return {log.name: log.read_text() for log in logs}


def test_what_the_cluster_lacks_is_said_before_the_first_stage(recipe):
    (recipe.folder / "conf/slurm.local.conf").write_text("option gpu=0 --partition fast\n")
    done = recipe("--stop-stage", "1")
    assert done.returncode == 1 and "=== stage" not in done.stdout
    assert "no partition fast here (there are cpu, gpu, urgent)" in done.stderr
    assert not jobs(recipe.folder)
    (recipe.folder / "conf/slurm.local.conf").unlink()
    done = recipe("--stop-stage", "1", "--ngpu", "3")
    assert done.returncode == 1 and "--gpu 3: a node has at most 2" in done.stderr and not done.stdout


def test_formatting_and_scoring_are_jobs(recipe):
    done = recipe("--stop-stage", "3")
    assert done.returncode == 0, done.stderr
    for name in ("train", "valid", "test"):
        logs = jobs(recipe.folder / "dump/raw" / name)
        assert len(logs) == 1 and "# Running on ci-n" in logs["format_wav_scp.1.log"]
        assert (recipe.folder / f"dump/raw/{name}/utt2num_samples").read_text() == "s-u 8000\n"
    more = ("--recognisers", "", "--metrics", "si_sdr", "--stage", "8", "--stop-stage", "8")
    done = recipe(*more)
    assert done.returncode == 0, done.stderr
    assert "# Running on ci-n" in jobs(recipe.folder / "exp/scores/log")["signal.noisy.log"]
    scores = json.loads((recipe.folder / "exp/scores/signal/noisy/test.json").read_text())
    assert 16 < scores["total"]["si_sdr"]["mean"] < 22  # 17 dB, and what the noise loses above 8 kHz

    done = recipe(*more, "--redo", "true", "--metrics", "nonsense")
    assert done.returncode == 1 and "--metrics nonsense: there are pesq" in done.stderr  # before any job
