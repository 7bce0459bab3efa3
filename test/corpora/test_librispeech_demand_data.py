"""Stage 1 of the recipe: another corpus, named by the environment or put in its place, gives other data."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet_posinv.corpora.demand import ENVIRONMENTS

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2/librispeech_demand/enh1"
SPOKEN = {
    "train-clean-100": ("103-1-0000", "104-1-0000"),
    "dev-clean": ("84-1-0000",),
    "test-clean": ("61-1-0000",),
}

pytestmark = pytest.mark.slow


def make_corpora(folder, seed):
    """Both in small: a second of noise each. LibriSpeech's test part is a tarball."""
    draw = np.random.default_rng(seed)
    for part, utts in SPOKEN.items():
        for utt in utts:
            reader, chapter, _ = utt.split("-")
            where = folder / "LibriSpeech" / part / reader / chapter
            where.mkdir(parents=True)
            soundfile.write(where / f"{utt}.flac", draw.normal(0, 0.1, 16000), 16000, subtype="PCM_16")
            (where / f"{reader}-{chapter}.trans.txt").write_text(f"{utt} WORDS OF {seed}\n")
    with tarfile.open(folder / "test-clean.tar.gz", "w:gz") as tar:
        tar.add(folder / "LibriSpeech/test-clean", "LibriSpeech/test-clean")
    shutil.rmtree(folder / "LibriSpeech/test-clean")
    for environment in ENVIRONMENTS:
        (folder / environment).mkdir()
        soundfile.write(folder / environment / "ch01.wav", draw.normal(0, 0.1, 16000), 16000)
    return folder


@pytest.fixture
def run(tmp_path):
    """Runs stage 1 in a folder with these corpora; what it says, and the data with their audio."""
    (tmp_path / "whisper").mkdir()
    (tmp_path / "lexicon.txt").write_text("WORDS W\n")

    def call(name, librispeech, demand):
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            for part in ("path.sh", "cmd.sh", "db.sh", "conf", "local", "utils", "run.sh", "enh.sh"):
                (folder / part).symlink_to(RECIPE / part)
            (folder / "run.sh").unlink()
            shutil.copy(RECIPE / "run.sh", folder)
        env = {**os.environ, "PYTHONPATH": str(ROOT), "WHISPER": str(tmp_path / "whisper")}
        env |= {
            "LIBRISPEECH": str(librispeech),
            "DEMAND": str(demand),
            "LEXICON": str(tmp_path / "lexicon.txt"),
        }
        command = [
            folder / "run.sh",
            "--stop_stage",
            "1",
            "--nj",
            "1",
            "--upstreams",
            "",
            "--recognisers",
            "",
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        data = {}
        for path in sorted((folder / "data").glob("*/*")):
            if path.suffix == ".scp":
                rows = [line.split(None, 1) for line in path.read_text().splitlines()]
                data[path.relative_to(folder)] = {key: (folder / wav).read_bytes() for key, wav in rows}
            elif path.is_file():
                data[path.relative_to(folder)] = path.read_text()
        return done.stdout, data

    return call


def test_another_corpus_gives_other_data(run, tmp_path):
    one, two = (make_corpora(tmp_path / name, seed) for seed, name in enumerate(("one", "two"), 1))
    said, first = run("recipe", one, one)
    assert "=== stage 1" in said
    said, same = run("recipe", one, one)
    assert "stage 1: data preparation: done, skipped" in said and same == first
    said, noisier = run("recipe", one, two)
    assert f"DEMAND={two}" in said.partition("=== stage 1")[2].splitlines()[0]
    assert noisier == run("fresh", one, two)[1] != first
    said, other = run("recipe", two, two)
    assert f"LIBRISPEECH={two}" in said.partition("=== stage 1")[2].splitlines()[0]
    assert other == run("fresh2", two, two)[1] != noisier
    # in place
    soundfile.write(two / "TBUS/ch01.wav", np.random.default_rng(3).normal(0, 0.1, 16000), 16000)
    with open(two / "LibriSpeech/dev-clean/84/1/84-1.trans.txt", "w") as file:
        file.write("84-1-0000 OTHER WORDS\n")
    shutil.copy(one / "test-clean.tar.gz", two)
    said, replaced = run("recipe", two, two)
    assert "other content)" in said.partition("=== stage 1")[2].splitlines()[0]
    assert replaced == run("fresh3", two, two)[1] != other
