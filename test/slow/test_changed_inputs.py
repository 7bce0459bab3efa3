"""Whatever is changed after a run, another run gives the table that a fresh one gives, or says what changed.

With stand-ins for what computes long (test/recipe/stand_in.py): all stages, notes and formatting are real.
"""

import importlib.util
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

spec = importlib.util.spec_from_file_location(
    "small_recipe", Path(__file__).parents[1] / "recipe/small_recipe.py"
)
small_recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_recipe)

pytestmark = pytest.mark.slow


def replaced_audio(path):
    """Other audio under the same path, of the same size and, as `cp -p` may do it, of the same time."""

    def change(folder):
        file = folder / path
        status = file.stat()
        soundfile.write(file, np.random.default_rng(99).normal(0, 0.1, 16000), 16000)
        assert file.stat().st_size == status.st_size
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    return change


def edited(path, old, new):
    """A pattern of a text file replaced."""

    def change(folder):
        text, count = re.subn(old, new, (folder / path).read_text())
        assert count
        (folder / path).write_text(text)

    return change


def added(path, text):
    def change(folder):
        (folder / path).write_text(text)
        (folder / path).chmod(0o755)

    return change


def other_speaker(folder):
    """One utterance of the training set less, in all its files."""
    for path in (folder / "data/train").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "s2-train" not in line))


PERTURB = "#!/bin/sh\nfor f in data/train/*; do sed -i '/s1-train/d;/^s1 /d' $f; done\n"
NOTHING = ()
# name: what is changed, options that change, whether a training is refused, whether data/ is made by hand
CHANGES = {
    "corpus: audio of training in place": (replaced_audio("audio/wav-s0-train.wav"), NOTHING, True, False),
    "corpus: audio of a test set in place": (
        replaced_audio("audio/wav-s0-test_noisy.wav"),
        NOTHING,
        False,
        False,
    ),
    "corpus: clean speech of a test set": (
        replaced_audio("audio/spk1-s0-test_noisy.wav"),
        NOTHING,
        False,
        False,
    ),
    "corpus: transcripts": (edited("corpus/test_noisy/text", "one", "three"), NOTHING, False, False),
    "local/data.sh": (
        edited("local/data.sh", "done", "done; sed -i s/one/six/ $2/test_clean/text"),
        NOTHING,
        False,
        False,
    ),
    "local/perturb.sh": (added("local/perturb.sh", PERTURB), NOTHING, True, False),
    "data: other list": (edited("data/test_noisy/wav.scp", "wav-s0", "spk1-s0"), NOTHING, False, True),
    "data: an utterance less": (other_speaker, NOTHING, True, True),
    "data: transcripts": (edited("data/test_clean/text", "two", "four"), NOTHING, False, True),
    "format": (None, ("--audio_format", "flac"), True, False),
    "start model in place": (edited("nsnet2.onnx", "nsnet2", "nsnet3"), NOTHING, True, False),
    "configuration": (edited("conf/finetune.yaml", "lr: 3.0e-4", "lr: 1.0e-4"), NOTHING, True, False),
    "criterion": (
        edited("conf/criterion/ssl_mse.yaml", "criterions:", "unused: 1\ncriterions:"),
        NOTHING,
        True,
        False,
    ),
    "setting": (None, ("--finetune_args", "--set max_epoch=9"), True, False),
    "encoder in place": (edited("ssl/weights", "s", "z"), NOTHING, True, False),
    "recogniser in place": (edited("whisper/weights", "w", "v"), NOTHING, False, False),
    "language": (None, ("--lang", "de"), False, False),
    "metrics": (None, ("--metrics", "si_sdr"), False, False),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe = small_recipe.SmallRecipe(tmp_path_factory.mktemp("recipe") / "egs2/x/enh1")
    return recipe, recipe.run()


@pytest.mark.parametrize("name", CHANGES)
def test_changed_input_gives_the_table_of_a_fresh_run(finished, tmp_path, name):
    change, options, refused, by_hand = CHANGES[name]
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    fresh = original.copy(tmp_path / "egs2/y/enh1")
    shutil.rmtree(fresh.folder / "exp")
    shutil.rmtree(fresh.folder / "dump")
    for folder in (recipe.folder, fresh.folder):
        if change:
            change(folder)
    expected = fresh.run(*options, "--stage", "3" if by_hand else "1")
    assert expected != table, "the change changes nothing"
    done = recipe.call(*options)
    assert (done.returncode != 0) == refused, done.stdout + done.stderr
    if refused:
        assert "was made from something else:" in done.stderr and "--redo true" in done.stderr
        assert recipe.table() == table  # nothing half new
    assert recipe.run(*options, *(["--redo", "true", "--stage", "5"] if refused else [])) == expected
    again = recipe.call(*options)
    assert again.returncode == 0 and "===" not in again.stdout, again.stdout


def test_touched_files_and_a_folder_moved_change_nothing(finished, tmp_path):
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    for path in recipe.folder.rglob("*"):
        os.utime(path)
    recipe.calls()
    assert recipe.run() == table
    called = {call.split("\t")[0] for call in recipe.calls()}
    assert called <= {f"posinv recipe {name}" for name in ("stage-begin", "stage-end", "made-from")}


def test_redo_makes_every_product_again(finished, tmp_path):
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    recipe.calls()
    assert recipe.run("--redo", "true") == table
    assert {call.split("\t")[0] for call in recipe.calls()} >= {
        *("espnet2.bin.launch", "espnet2.bin.enh_inference", "posinv decode", "posinv score words"),
        *("posinv score signal", "posinv probe", "posinv report", "posinv import-nsnet2"),
    }


def test_a_stage_alone_refuses_what_was_made_from_other_data(finished, tmp_path):
    recipe = finished[0].copy(tmp_path / "egs2/x/enh1")
    replaced_audio("audio/wav-s0-test_noisy.wav")(recipe.folder)
    done = recipe.call("--stage", "9")
    assert done.returncode == 1
    assert "which was made from something else; stage" in done.stderr and "other content" in done.stderr


def test_reports_of_two_experiments_do_not_replace_each_other(finished, tmp_path):
    recipe = finished[0].copy(tmp_path / "egs2/x/enh1")
    table = recipe.run("--results", "RESULTS.md")
    other = recipe.call("--expdir", "exp_other", "--lang", "de", "--results", "RESULTS.md")
    assert other.returncode == 2 and "RESULTS.md holds the report of" in other.stderr
    assert not (recipe.folder / "exp_other").exists()
    assert recipe.run("--results", "RESULTS.md") == table
