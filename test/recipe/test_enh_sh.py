"""The recipe template from a user's side: a new recipe, its help, its stages, and what mistakes say."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("small_recipe", Path(__file__).with_name("small_recipe.py"))
small_recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(small_recipe)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("egs2") / "corpus/enh1"
    made = subprocess.run([ROOT / "egs2/TEMPLATE/enh1/setup.sh", folder], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


def call(recipe, *args, **env):
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run([recipe / "run.sh", *args], capture_output=True, text=True, env=env, timeout=300)


def test_new_recipe_lists_its_stages(recipe):
    out = call(recipe, "--list-stages")
    assert out.returncode == 0, out.stderr
    numbers = [int(line.split()[0]) for line in out.stdout.splitlines()]
    assert numbers == list(range(1, 11))
    assert "fine-tuning: ssl_mse_mini_hubert_seed0" in out.stdout and "not done yet" in out.stdout
    assert not (recipe / "exp").exists()


def test_making_a_recipe_twice_changes_nothing(recipe):
    again = subprocess.run([ROOT / "egs2/TEMPLATE/enh1/setup.sh", recipe], capture_output=True, text=True)
    assert again.returncode == 1 and "exists already" in again.stderr


def test_help_shows_every_option_with_its_default(recipe):
    out = call(recipe, "--help").stdout
    assert "--stage 1 " in out and "first stage to run" in out and "--criterion" in out
    source = (ROOT / "egs2/TEMPLATE/enh1/enh.sh").read_text().split("# General")[1].split("help_message=")[0]
    options = [line.split("=")[0] for line in source.splitlines() if "=" in line.split("#")[0]]
    assert len(options) > 30 and all(f"--{name} " in out for name in options)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--no-such-option", "1"], "no option --no-such-option"),
        (["--stage"], "--stage has no value"),
        (["--ngpu", "--nj", "2"], "--ngpu has no value"),
        (["--nj", "0"], "--nj 0: must be a whole number above 0"),
        (["--nj", "all"], "--nj all: must be a whole number above 0"),
        (["--stage", "11"], "--stage 11 --stop_stage 10: no stage to run; there are 1 to 10"),
        (["--stage", "5", "--stop-stage", "3"], "--stage 5 --stop_stage 3: no stage to run"),
        (["--stop-stage", "last"], "--stop_stage last: must be a whole number above 0"),
        (
            ["--criterion", "ssl_mse ssl_mze"],
            "--criterion ssl_mze: no conf/criterion/ssl_mze.yaml; there are ssl_",
        ),
        (["foo"], "'foo' belongs to no option (--help)"),
        (
            ["--criterion", "ssl_mse", "ssl_softdtw", "--nj", "1"],
            """'ssl_softdtw' belongs to no option; a list is one word between quotes: """
            """--criterion "ssl_mse ssl_softdtw\"""",
        ),
        (["--nj", "1", "--seeds=1", "2", "3"], """between quotes: --seeds "1 2 3\""""),
        (["--seeds", "1 a"], "--seeds a: whole numbers are needed"),
        (["--clean_set", "test_cleen"], "--clean_set test_cleen: is none of --test_sets"),
        (["--heads", "phones_bltsm"], "--heads phones_bltsm: there are characters_linear, characters_blstm"),
        (["--lm", "no.arpa"], "--lm no.arpa: no such file"),
        (["--heads", "phones_linear", "--lexicon", "no.txt,g2p_en"], "--lexicon no.txt: no such file"),
        (["--valid_set", "train"], "train: named twice among"),
        (["--init", "nsnet"], "--init 'nsnet': stage 4 makes"),
        (["--redo", "maybe"], "true or false, not 'maybe'"),
        (["--stage", "6"], "stage 3 (format audio"),
        (["--stop-stage", "1"], "needs corpus/audio, which does not exist; no stage makes it"),
        (["--test_sets", ""], "name the sets"),
        (["--expdir", "my exp"], "--expdir my exp: not with ' ' in it, please; a link without will do"),
        (["--pretrained", "a,b"], "--pretrained a,b: not with ',' in it"),
        (["--datadir", "a:b"], "--datadir a:b: not with ':' in it"),
        (["--downloads", "Ann's"], """--downloads Ann's: not with ''' in it"""),
        (["--packed", "models/(1)"], "--packed models/(1): not with '(' in it"),
        (["--upstreams", "a=transformers:R&D/ssl"], "R&D/ssl: not with '&' in it"),
        (["--recognisers", "a=whisper:$HOME/x"], "$HOME/x: not with '$' in it"),
        (["--data_from", "corpus (old)"], "--data_from corpus (old): not with '(' in it"),
        (["--heads", "phones_linear *"], "--heads phones_linear *: not with '*' in it"),
        (["--finetuned", "one_seed1 two*"], "--finetuned one_seed1 two*: not with '*' in it"),
        (["--tasks", "a=speaker:utt2spk:ge2e:R&D/x.whl"], "x.whl: not with '&' in it"),
        (["--lexicon", "my lexicon.txt,g2p_en"], "--lexicon my lexicon.txt,g2p_en: not with ' ' in it"),
        (["--lm", "3,4-gram.arpa"], "--lm 3,4-gram.arpa: not with ',' in it"),
        (["--normaliser", "my rules.py:words"], "--normaliser my rules.py:words: not with ' ' in it"),
        (
            ["--local_data_opts", "--audio 'my corpus'"],
            "not with ''' in it, please; quotes do not hold words together here; a link without will do",
        ),
        (["--asr_args", '--prompt "a b"'], "not with '\"' in it, please; quotes do not hold"),
        (["--resident", "--noise-scp Ann's/noise.scp"], "--noise-scp Ann's/noise.scp: not with ''' in it"),
        (
            ["--data_from", "my corpus"],
            "needs my, which does not exist; no stage makes it: check the path (one with",
        ),
    ],
)
def test_mistakes_stop_with_a_message(recipe, args, message):
    out = call(recipe, *args)
    assert out.returncode != 0 and message in out.stderr, out.stderr
    assert "Traceback" not in out.stderr


def test_options_of_data_preparation_arrive_as_they_are(recipe, tmp_path):
    """Rules for speakers have any character, and are no patterns of file names."""
    folder = tmp_path / "enh1"
    shutil.copytree(recipe, folder, symlinks=True)
    for link in ("enh.sh", "path.sh", "cmd.sh", "utils"):
        (folder / link).unlink()
        (folder / link).symlink_to((recipe / link).resolve())
    (folder / "--speaker=b").touch()
    (folder / "local/data.sh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > given\nexit 1\n')
    options = r"--speaker=[a-z]  --other ^(\w+)-.*$"
    args = ["--stop_stage", "1", "--data_from", "", "--local_data_opts", options]
    assert call(folder, *args).returncode == 1
    given = (folder / "given").read_text().splitlines()
    assert given == ["--data", "data", "--speaker=[a-z]", "--other", r"^(\w+)-.*$"]


def test_what_db_sh_takes_from_the_environment_makes_the_data_again(tmp_path):
    recipe = small_recipe.SmallRecipe(tmp_path / "egs2/x/enh1")
    (recipe.folder / "db.sh").write_text("# a word\nsaid=${SAID:-}\nexport unused=\n")

    def prepare(**env):
        """Why stage 1 ran, and what it made."""
        done = recipe.call("--stop_stage", "1", **env)
        assert done.returncode == 0, done.stderr
        text = (recipe.folder / "data/test_clean/text").read_text().split()[1]
        return done.stdout.partition("=== stage 1")[2].partition("\n")[0].partition("; ")[2], text

    assert prepare() == ("not done yet)", "one")
    assert prepare(SAID="six") == ("options changed from [] to [ said=six])", "six")
    assert prepare(SAID="six") == ("", "six")
    assert prepare() == ("options changed from [ said=six] to [])", "one")


@pytest.mark.parametrize("path", ROOT.glob("egs2/*/enh1/db.sh"), ids=lambda path: path.parts[-3])
def test_db_sh_keeps_what_the_environment_names(path):
    names = re.findall(r"^(\w+)=", path.read_text(), re.M)
    env = dict.fromkeys(names, "mine")
    echo = [f"${name}" for name in names]
    done = subprocess.run(["bash", "-c", f". {path}; echo {' '.join(echo)}"], capture_output=True, env=env)
    assert done.stdout.split() == [b"mine"] * len(names)


def test_settings_of_the_fine_tuning_follow_those_of_the_new_recipe(recipe):
    spy = recipe / "spy"
    spy.write_text('#!/bin/sh\necho "$@" >> spied\nexit 1\n')
    spy.chmod(0o755)
    assert call(recipe, "--python", "./spy").returncode == 1
    assert "preprocessor_conf.noise_scp=corpus/noise conf/finetune.yaml" in (recipe / "spied").read_text()
    args = ["--finetune_args", "--set grad_clip=2", "--python", "./spy"]
    assert call(recipe, *args, EPOCHS="20", UPDATES="200").returncode == 1
    assert (
        "--set max_epoch=20 --set num_iters_per_epoch=200 "
        "--set scheduler_conf.warmup_steps_list=[0,400,4000] "
        "--set preprocessor_conf.noise_scp=corpus/noise --set grad_clip=2 conf/finetune.yaml"
    ) in (recipe / "spied").read_text()


@pytest.mark.parametrize("size", ["--quick", "--full"])
def test_mini_debian_mixes_in_the_noise_of_the_data_that_are_named(tmp_path, size):
    (tmp_path / "spy").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/spied\nexit 1\n')
    (tmp_path / "spy").chmod(0o755)
    paths = [f"--{name}={tmp_path}/{name}" for name in ("dumpdir", "expdir")]
    args = [size, "--datadir", f"{tmp_path}/mine", *paths, "--results", f"{tmp_path}/R.md", "--python"]
    args += [str(tmp_path / "spy"), "--finetune_args", "--set max_epoch=9"]
    assert call(ROOT / "egs2/mini_debian/enh1", *args).returncode == 1
    noise = f"preprocessor_conf.noise_scp={tmp_path}/mine/noise/train.scp"
    assert f"{noise} --set max_epoch=9 conf/finetune.yaml" in (tmp_path / "spied").read_text()


def test_a_path_with_blanks_is_refused_by_the_example(recipe):
    done = subprocess.run(
        [recipe / "local/data.sh", "--audio", "my", "corpus"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "'corpus' belongs to no option; paths have no blanks" in done.stderr


def test_a_training_that_fails_shows_the_end_of_its_log_and_not_all_of_it_again():
    source = (ROOT / "utils/enh_steps.sh").read_text()
    kept = re.search(r"2> >\((sed -u '[^']*') >&2\)", source)[1]
    said = "[a] (launch:96) INFO: /bin/x\nrun.pl: last lines of train.log:\n    ValueError: wrong\n"
    said += "Command '['run.pl']' returned non-zero exit status 1.\nTraceback\nThe last 1000 lines\n"
    shown = subprocess.run(
        ["bash", "-c", kept], input=said, capture_output=True, text=True, check=True
    ).stdout
    assert shown == "run.pl: last lines of train.log:\n    ValueError: wrong\n"


@pytest.mark.parametrize(
    ("most", "languages", "kept"),
    [(0, True, "1357"), (2, True, "15"), (9, True, "1357"), (0, False, "01234567"), (3, False, "025")],
)
def test_recognisers_of_words_get_utterances_of_the_language_evenly(tmp_path, most, languages, kept):
    text = (ROOT / "utils/enh_steps.sh").read_text()
    function = text[text.index("spoken() {") : text.index("hears_phones() {")]
    folder = tmp_path / "raw/test"
    folder.mkdir(parents=True)
    (folder / "wav.scp").write_text("".join(f"u{i} {i}.wav\n" for i in range(8)))
    if languages:
        (folder / "utt2lang").write_text("".join(f"u{i} {('fr', 'en')[i % 2]}\n" for i in range(8)))
    script = f"raw=raw expdir=exp lang=en spoken_max={most}\n{function}\ncat $(spoken raw/test/wav.scp test)"
    done = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"u{i} {i}.wav\n" for i in kept)


def test_dry_run_names_inputs_and_outputs_and_makes_nothing(recipe):
    out = call(recipe, "--dry-run", "--stop_stage=3")
    assert out.returncode == 0
    assert "reads  data/train/wav.scp   (not there)" in out.stdout
    assert "writes dump/raw/train/utt2num_samples" in out.stdout
    assert "stage 4" not in out.stdout and not (recipe / "dump/raw").exists()


def test_any_fine_tuned_models_can_be_evaluated_together(recipe):
    out = call(
        recipe, "--dry-run", "--stage", "5", "--stop_stage", "6", "--finetuned", "one_seed1 two_seed2"
    ).stdout
    training, evaluation = out.split("stage 6:")
    assert "writes exp/ssl_mse_mini_hubert_seed0/.finished" in training and "one_seed1" not in training
    assert "reads  exp/one_seed1/.finished" in evaluation and "ssl_mse_mini_hubert_seed0" not in evaluation
