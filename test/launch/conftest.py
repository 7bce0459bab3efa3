"""A real Slurm and a real Grid Engine, private to the tests; skipped with the reason where there is none."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def heed_signals():
    """A launcher leaves ignored signals ignored, and whoever runs the tests may ignore some (nohup)."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Launcher:
    """One of the doors in utils/, called as a recipe calls it."""

    def __init__(self, name, directory, environment=None):
        self.door, self.directory = ROOT / "utils" / name, directory
        self.environment = {**os.environ, **(environment or {})}

    def __call__(self, *args, **kwargs):
        """Run to the end; CompletedProcess with output."""
        return subprocess.run(
            [self.door, *map(str, args)],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=kwargs.pop("timeout", 300),
            env={**self.environment, **kwargs.pop("env", {})},
            **kwargs,
        )

    def start(self, *args):
        """Run in the background; Popen."""
        return subprocess.Popen(
            [self.door, *map(str, args)],
            cwd=self.directory,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            preexec_fn=heed_signals,
        )

    def tool(self, *args):
        """Output of a command of the scheduler."""
        return subprocess.run(
            args, env=self.environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    def job_number(self, name):
        """Number of the job of this name on Slurm, as soon as it runs."""

        def find():
            jobs = [line.split() for line in self.tool("squeue", "-h", "-o", "%j %T %F").splitlines()]
            return next((job[2] for job in jobs if job[:2] == [name, "RUNNING"]), None)

        return self.wait_for(find)

    def run_now(self, number):
        """Spare a requeued job most of the two minutes that Slurm lets it wait.

        Not all: its nodes refuse credentials as old as the end of its last attempt.
        """
        self.wait_for(lambda: self.tool("squeue", "-h", "-j", number, "-o", "%T").strip() == "PENDING", 300)
        time.sleep(3)
        self.tool("scontrol", "update", f"JobId={number}", "StartTime=now")

    def output(self, log):
        """What the command itself wrote into a log."""
        lines = (self.directory / log).read_text().splitlines()
        return [line for line in lines if not line.startswith("#")]

    @staticmethod
    def wait_for(condition, seconds=120):
        """Poll a condition until it gives something true, which is returned."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
        return value

    @staticmethod
    def alive(pid):
        """Whether a process runs; one that has ended but was not yet collected by its parent does not."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False


def _engine(name, tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip(f"{name} can only be started by root")
    directory = tmp_path_factory.mktemp(name)
    up = subprocess.run([ROOT / f"ci/{name}_up.sh", directory], capture_output=True, text=True, timeout=300)
    if up.returncode == 77:
        pytest.skip(up.stderr.strip().splitlines()[-1])
    assert up.returncode == 0, up.stderr
    # A killed pytest must not leave daemons behind.
    guard = f"while kill -0 {os.getpid()} 2>/dev/null; do sleep 2; done; {ROOT}/ci/{name}_down.sh {directory}"
    subprocess.Popen(["bash", "-c", guard], start_new_session=True, stdout=subprocess.DEVNULL)
    words = shlex.split(up.stdout.strip().splitlines()[-1])[1:]
    return directory, dict(word.split("=", 1) for word in words)


@pytest.fixture(scope="session")
def slurm_engine(tmp_path_factory):
    directory, environment = _engine("slurm", tmp_path_factory)
    yield environment
    subprocess.run([ROOT / "ci/slurm_down.sh", directory], check=True, timeout=60)


@pytest.fixture(scope="session")
def sge_engine(tmp_path_factory):
    directory, environment = _engine("sge", tmp_path_factory)
    yield environment
    subprocess.run([ROOT / "ci/sge_down.sh", directory], check=True, timeout=60)


@pytest.fixture
def slurm(slurm_engine, tmp_path):
    return Launcher("slurm.pl", tmp_path, slurm_engine)


@pytest.fixture
def sge(sge_engine, tmp_path):
    return Launcher("queue.pl", tmp_path, sge_engine)


@pytest.fixture
def make_launcher(tmp_path):
    return lambda name, environment: Launcher(name, tmp_path, environment)


@pytest.fixture
def run(tmp_path):
    return Launcher("run.pl", tmp_path)
