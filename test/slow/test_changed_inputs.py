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


def swapped(path):
    """The audio of the first two utterances of a list exchanged."""

    def change(folder):
        (a, one), (b, two), *rest = (line.split(None, 1) for line in (folder / path).open())
        (folder / path).write_text("".join(f"{k} {v}" for k, v in ((a, two), (b, one), *rest)))

    return change


def other_name(folder):
    """Another speaker of an utterance of a test set."""
    edited("corpus/test_noisy/utt2spk", "s2\n", "s3\n")(folder)
    edited("corpus/test_noisy/spk2utt", "s2 ", "s3 ")(folder)


def other_speaker(folder):
    """One utterance of the training set less, in all its files."""
    for path in (folder / "data/train").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.split()[0] not in ("s2", "s2-train")))


NOISE = "--set preprocessor_conf.noise_scp=./noise.scp"
# Changes, one upon the other: what is changed, or the options that change. First what no training depends on.
SCORED_AGAIN = {
    "corpus: audio of a test set in place": replaced_audio("audio/wav-s0-test_noisy.wav"),
    "corpus: clean speech of a test set": replaced_audio("audio/spk1-s0-test_noisy.wav"),
    "corpus: speakers of a test set": other_name,
    "corpus: transcripts": edited("corpus/test_noisy/text", "one", "three"),
    "local/data.sh": edited("local/data.sh", "done", "done; sed -i s/two/six/ $2/test_clean/text"),
    "db.sh": added("db.sh", "said=${SAID:-six}\n"),
    "db.sh: a variable of the environment": {"SAID": "five"},
    "data: other list": edited("data/test_noisy/wav.scp", "wav-s1", "spk1-s1"),
    "data: transcripts": edited("data/test_clean/text", "five", "four"),
}
# What a training depends on, and a line of what is said; it is not thrown away without being asked.
REFUSED = {
    "corpus: audio of training in place": (
        replaced_audio("audio/wav-s0-train.wav"),
        "train/wav.scp: the same",
    ),
    "data: clean speech exchanged": (swapped("data/train/spk1.scp"), "train/spk1.scp: the same ids"),
    "local/perturb.sh": (
        added("local/perturb.sh", "#!/bin/sh\nsed -i '/^s1-train/d;/^s1 /d' data/train/*\n"),
        "train/wav.scp: other ids (3 entries before, 2 now)",
    ),
    "data: an utterance less": (other_speaker, "train/wav.scp: other ids (3 entries before, 1 now)"),
    "start model in place": (
        edited("nsnet2.onnx", "nsnet2", "nsnet3"),
        "exp/nsnet2/model.pth: other content",
    ),
    "configuration": (edited("conf/finetune.yaml", "lr: 6.0e-6", "lr: 1.0e-6"), "lr: 6e-06 -> 1e-06"),
    "criterion": (
        edited("conf/criterion/ssl_mse.yaml", "criterions:", "unused: 1\ncriterions:"),
        "unused: (no",
    ),
    "encoder: another file": (added("ssl/config.json", "{}"), "./ssl: other content"),
    "noise mixed in while training: audio": (replaced_audio("audio/rain.wav"), "./noise.scp: the same ids"),
    "noise mixed in while training: list": (edited("noise.scp", "^rain", "wind"), "./noise.scp: other ids"),
    "format": (("--audio_format", "flac"), "train/wav.scp: "),
    "setting": (("--finetune_args", f"{NOISE} --set max_epoch=9"), "max_epoch: 8 -> 9"),
    "setting of a criterion": (
        ("--finetune_args", f"{NOISE} --set criterions.0.conf.layers=3"),
        "criterions.0.conf.layers: (not set) -> 3",
    ),
}
# What only judges.
JUDGED_AGAIN = {
    "packed model": edited("packed/model.pth", "packed", "other"),
    "recogniser in place": edited("whisper/weights", "w", "v"),
    "recogniser: another file": added("whisper/vocabulary.txt", "a"),
    "recogniser: its language model": edited("lm.arpa", "lm", "ml"),
    "recogniser: a setting": (
        "--recognisers",
        "small=whisper:./whisper,lm=nsnet2.onnx phones=ssl_ctc:./head",
    ),
    "recogniser of phones": edited("head/weights", "h", "b"),
    "recogniser of phones: its lexicon": edited("lexicon.txt", "lex", "lux"),
    "language": ("--lang", "de"),
    "rules of text": edited("rules.py", "rules", "other"),
    "other rules of text": ("--normaliser", "lm.arpa:words"),
    "metrics": ("--metrics", "si_sdr"),
    "model of a task": edited("ge2e.whl", "ge2e", "other"),
    "task": ("--tasks", "speaker=verify:utt2spk:ge2e:./ge2e.whl"),
    "the set without noise": ("--clean_set", "test_noisy"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe = small_recipe.SmallRecipe(tmp_path_factory.mktemp("recipe") / "egs2/x/enh1")
    return recipe, recipe.run()


@pytest.fixture(scope="module")
def changing(finished, tmp_path_factory):
    """A copy that is changed on and on, the options of its last run, and how to make a fresh one like it."""

    class Changing:
        recipe = finished[0].copy(tmp_path_factory.mktemp("changing") / "egs2/x/enh1")
        options: tuple = ()
        env: dict = {}  # noqa: RUF012

        def change(self, what):
            if callable(what):
                what(self.recipe.folder)
            elif isinstance(what, dict):
                self.env = what
            else:
                self.options += what

        def fresh_table(self):
            fresh = self.recipe.copy(tmp_path_factory.mktemp("fresh") / "egs2/x/enh1")
            shutil.rmtree(fresh.folder / "exp")
            shutil.rmtree(fresh.folder / "dump")
            return fresh.run(*self.options, "--stage", "3", **self.env)  # data/ was changed by hand, too

    return Changing()


def formatted(recipe):
    """What is trained on."""
    lists = [(recipe.folder / f"dump/raw/train/{name}.scp").read_text() for name in ("wav", "spk1")]
    paths = [line.split()[1] for text in lists for line in text.splitlines()]
    return lists, [(recipe.folder / path).read_bytes() for path in paths]


# In this order: each change is made upon those before.
@pytest.mark.parametrize("name", SCORED_AGAIN)
def test_a_test_set_that_changes_changes_the_table(changing, name):
    table = changing.recipe.table()
    changing.change(SCORED_AGAIN[name])
    assert changing.recipe.run(*changing.options, **changing.env) != table


@pytest.mark.parametrize("name", REFUSED)
def test_a_training_is_not_thrown_away_and_what_changed_is_told(changing, name):
    what, said = REFUSED[name]
    recipe, before = changing.recipe, formatted(changing.recipe)
    table = recipe.table()
    changing.change(what)
    done = recipe.call(*changing.options, **changing.env)
    assert done.returncode == 1 and "was made from something else:" in done.stderr, done.stdout + done.stderr
    assert said in done.stderr and "--redo true" in done.stderr
    assert recipe.table() == table
    assert (formatted(recipe) != before) == (said.startswith("train/"))


def test_trained_again_the_table_is_that_of_a_fresh_run(changing):
    table = changing.recipe.run(*changing.options, "--redo", "true", "--stage", "5", **changing.env)
    assert table == changing.fresh_table()
    again = changing.recipe.call(*changing.options, **changing.env)
    assert again.returncode == 0 and "===" not in again.stdout, again.stdout


@pytest.mark.parametrize("name", JUDGED_AGAIN)
def test_a_judge_that_changes_changes_the_table(changing, name):
    table = changing.recipe.table()
    changing.change(JUDGED_AGAIN[name])
    assert changing.recipe.run(*changing.options, **changing.env) != table


def test_judged_again_the_table_is_that_of_a_fresh_run(changing):
    assert changing.recipe.table() == changing.fresh_table()


def test_touched_files_and_a_folder_moved_change_nothing(finished, tmp_path):
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    for path in recipe.folder.rglob("*"):
        os.utime(path)
    recipe.calls()
    assert recipe.run() == table
    called = {call.split("\t")[0] for call in recipe.calls()}
    assert called <= {f"posinv recipe {name}" for name in ("stage-begin", "stage-end", "made-from")}


def test_the_order_of_a_list_changes_nothing(finished, tmp_path):
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    for path in ("data/train/spk1.scp", "data/test_noisy/wav.scp"):
        lines = (recipe.folder / path).read_text().splitlines(keepends=True)
        (recipe.folder / path).write_text("".join(reversed(lines)))
    recipe.calls()
    assert recipe.run() == table
    called = {call.split("\t")[0] for call in recipe.calls()}
    assert not called & {"espnet2.bin.launch", "espnet2.bin.enh_inference", "posinv decode"}


def test_a_script_as_a_pipe_is_run_again_and_makes_no_more_than_what_it_changes(finished, tmp_path):
    original, table = finished
    recipe = original.copy(tmp_path / "egs2/x/enh1")
    make = recipe.folder / "make.sh"
    make.write_text('cat "audio/wav-$1.wav"\n')
    edited("corpus/test_noisy/wav.scp", r"(\S+) \S+", r"\1 sh ./make.sh \1 |")(recipe.folder)
    assert recipe.run() == table
    recipe.calls()
    again = recipe.call()
    called = {call.split("\t")[0] for call in recipe.calls()}
    assert again.returncode == 0 and again.stdout.count("===") == 1
    assert "pipes that do not show what they read" in again.stdout and "stage 3" in again.stdout
    assert called <= {
        *(f"posinv recipe {name}" for name in ("stage-begin", "stage-end", "made-from", "check-data")),
        "posinv data format-data-dir",
    }
    replaced_audio("audio/wav-s0-test_noisy.wav")(recipe.folder)
    assert recipe.call("--stage", "9").returncode == 0  # only running the pipe tells
    changed = recipe.run()
    fresh = recipe.copy(tmp_path / "egs2/y/enh1")
    shutil.rmtree(fresh.folder / "exp")
    shutil.rmtree(fresh.folder / "dump")
    assert changed == fresh.run() != table


def test_scores_of_other_data_by_a_run_with_other_options_are_left_out(finished, tmp_path):
    recipe = finished[0].copy(tmp_path / "egs2/x/enh1")
    replaced_audio("audio/wav-s0-test_noisy.wav")(recipe.folder)
    done = recipe.call("--packed", "")
    assert done.returncode == 0, done.stderr
    assert (
        "scores/signal/packed/test_noisy.json: left out and deleted; dump/raw/test_noisy/wav.scp"
        in done.stdout
    )
    assert "scores/signal/packed/test_noisy" not in recipe.table()
    assert "scores/signal/packed/test_clean" in recipe.table()


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
