"""The launchers as recipes call them: on this machine, on a real Slurm, on a real Grid Engine."""

import os
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
