"""A recipe killed five times on the way from nothing to its table, which is that of an undisturbed run.

The mini recipe on a real Slurm: two runs of ``run.sh --quick``, half an hour on two cores; and a small one of
stand-ins, a minute a run: python -m pytest -m slow test/slow -s
"""

import importlib.util
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("small_recipe", ROOT / "test/recipe/small_recipe.py")
small_recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_recipe)
RECIPE = ROOT / "egs2/mini_debian/enh1"
KILLS = 5
STAGES = range(1, 10)  # a run may be killed in any but the last, which would be over
HOURS = 3600


@pytest.fixture
def slurm(slurm_engine):
    """The environment in which slurm.pl finds a Slurm of three virtual nodes."""
    return {**os.environ, **slurm_engine}


def start(folder, environment):
    """run.sh in a process group of its own, all that it makes in ``folder``."""
    folder.mkdir(exist_ok=True)
    options = {"datadir": "data", "dumpdir": "dump", "expdir": "exp", "results": "exp/RESULTS.md"}
    command = ["./run.sh", "--quick", "--cmd_backend", "slurm"]
    for name, path in options.items():
        command += [f"--{name}", f"{folder}/{path}"]
    # One criterion, one metric, a test set fewer: what is left out differs in nothing that an interruption
    # could hurt.
    command += ["--criterion", "ssl_softdtw", "--metrics", "si_sdr", "--test_sets", "test_clean test_unseen"]
    with open(folder / "log", "a") as log:
        return subprocess.Popen(
            command,
            cwd=RECIPE,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # Whoever runs the tests may ignore it (nohup), and a shell cannot undo that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def finish(process, folder):
    """Wait for success; the report's tables of scores and of trainings, without times and folders."""
    try:
        code = process.wait(2 * HOURS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, (folder / "log").read_text()[-3000:]
    text = (folder / "exp/RESULTS.md").read_text()
    scores = text.partition("## Error rates")[2].partition("## Training")[0]
    trainings = re.findall(r"^\| (ssl_softdtw\S+ .*) \| [\d.]+ \|$", text.partition("## Training")[2], re.M)
    assert scores.count("| ssl_softdtw") >= 4 and len(trainings) == 1, text
    return scores, trainings


def wait_for_moment(process, log, start, number, seconds):
    """Until a run is so far in a stage; no later than the next one begins, should all go faster now."""
    until = None
    while process.poll() is None:
        text = log.read_text()[start:]
        if until is None and f" stage {number}: " in text:
            until = time.monotonic() + seconds
        if f" stage {number + 1}: " in text or (until and time.monotonic() >= until):
            return
        time.sleep(0.1)
    raise AssertionError(f"ended before it could be killed:\n{log.read_text()[-3000:]}")


@pytest.mark.slow
def test_killed_at_five_random_moments_the_recipe_ends_with_the_same_table(slurm, tmp_path):
    begin = time.monotonic()
    expected = finish(start(tmp_path / "calm", slurm), tmp_path / "calm")
    seconds = time.monotonic() - begin
    submitted = list((tmp_path / "calm").rglob("q/*/jobs"))
    assert all(path.read_text().startswith("Slurm ") for path in submitted)
    kinds = {path.parent.name.partition(".")[0] for path in submitted}
    assert kinds == {"format_wav_scp", "train", "enh_inference", "asr_decode", "signal"}

    seed = int(os.environ.get("SEED", time.time_ns() % 10**6))
    print(f"undisturbed: {seconds:.0f} s; SEED={seed} repeats the moments")
    draw = random.Random(seed)
    # Moments of the work, not of the clock, which goes at another pace when others use the machine.
    took = {
        n: json.loads((tmp_path / f"calm/exp/.stages/stage{n}.json").read_text())["seconds"] for n in STAGES
    }
    log = tmp_path / "killed/log"
    for stage in sorted(draw.choices(STAGES, list(took.values()), k=KILLS)):
        begun = len(log.read_text()) if log.exists() else 0
        process = start(tmp_path / "killed", slurm)
        part = draw.uniform(0, 0.9)
        wait_for_moment(process, log, begun, stage, part * took[stage])
        number = draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        print(f"{number.name} in stage {stage}, after {part:.0%} of its time", flush=True)
        os.killpg(process.pid, number)
        process.wait(60)
    assert finish(start(tmp_path / "killed", slurm), tmp_path / "killed") == expected


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "slurm"])
def test_a_small_recipe_killed_at_five_random_moments_ends_with_the_same_table(backend, request, tmp_path):
    env = request.getfixturevalue("slurm_engine") if backend == "slurm" else {}
    killed = small_recipe.SmallRecipe(tmp_path / "killed/egs2/x/enh1")
    calm = killed.copy(tmp_path / "calm/egs2/x/enh1")
    log = tmp_path / "log"

    def start(recipe):
        with open(log, "a") as out:
            how = {"stdout": out, "stderr": out, "env": env}
            # Whoever runs the tests may ignore it (nohup), and a shell cannot undo that
            heed = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
            return recipe.start("--cmd_backend", backend, **how, **heed)

    begin = time.monotonic()
    assert start(calm).wait(HOURS) == 0, log.read_text()[-3000:]
    seconds = time.monotonic() - begin
    seed = int(os.environ.get("SEED", time.time_ns() % 10**6))
    print(f"undisturbed: {seconds:.0f} s; SEED={seed} repeats the moments")
    draw = random.Random(seed)
    for _ in range(KILLS):
        process = start(killed)
        time.sleep(draw.uniform(0, 0.6 * seconds))
        number = draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        print(f"{number.name}:", log.read_text().splitlines()[-1], flush=True)
        if process.poll() is None:
            os.killpg(process.pid, number)
        assert process.wait(60) != 0 or killed.table() == calm.table()
    assert start(killed).wait(HOURS) == 0, log.read_text()[-3000:]
    assert killed.table() == calm.table()
