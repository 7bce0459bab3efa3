"""Grids: how they expand, what is called, what is skipped, and the table that comes of it."""

import json
import os
import stat
from pathlib import Path

import pytest

from espnet_posinv.ablation.grid import read_ablation
from espnet_posinv.ablation.run import run_ablation
from espnet_posinv.cli import command
from espnet_posinv.launch.request import consecutive
from espnet_posinv.recipe.config import ConfigError

main = command("ablate")

ROOT = Path(__file__).parents[2]
GRID = """
run: ./recipe.sh --quick
expdir: exp
options: {seeds: 1 2}
settings: {max_epoch: 2}
grids:
  padding:
    prepare: [touch prepared]
    criterion: ssl_mse_pad
    vary:
      share: [[0.02, 0.05], [0.1, 0.2]]
      pad_in_statistics: [false, true]
  lr:
    criterion: [ssl_mse, ssl_softdtw]
    settings: {.grad_clip: 1}
    vary: {optim_conf.lr: [1.0e-4]}
"""
# Stands for a recipe: counts its calls, fails where told to, and leaves scores as stage 8 does
RECIPE = r"""#!/usr/bin/env python3
import json, pathlib, sys
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
with open("calls", "a") as log:
    print(json.dumps(options), file=log)
if pathlib.Path("broken").exists() and options.get("--tag", " ") in pathlib.Path("broken").read_text():
    sys.exit(1)
if options["--stage"] == "5":
    for criterion in options["--criterion"].split():
        for seed in options["--seeds"].split():
            done = pathlib.Path(f"exp/{criterion}_hubert_{options['--tag']}_seed{seed}/.finished")
            done.parent.mkdir(parents=True, exist_ok=True)
            done.touch()
for model in options.get("--finetuned", "").split():
    wrong = 1 + ("true" in model) + 2 * ("0.1" in model)
    rows = {f"u{i}": {"S": wrong, "D": 0, "I": 0, "N": 10, "ref": "x"} for i in range(8)}
    folder = pathlib.Path(f"exp/scores/whisper/{model}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.json").write_text(json.dumps({"utterances": rows, "recogniser": None}))
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID)
    path = tmp_path / "recipe.sh"
    path.write_text(RECIPE)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def calls(folder):
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_grid_expands_to_readable_tags_and_options(recipe):
    ablation = read_ablation("grid.yaml")
    assert [e.tag for e in ablation.experiments] == [
        "padding-share0.02-0.05-pad_in_statistics-false",
        "padding-share0.02-0.05-pad_in_statistics-true",
        "padding-share0.1-0.2-pad_in_statistics-false",
        "padding-share0.1-0.2-pad_in_statistics-true",
        "lr-lr0.0001",
    ]
    last = ablation.experiments[-1].options
    assert last["criterion"] == "ssl_mse ssl_softdtw" and last["seeds"] == "1 2"
    assert last["finetune_args"] == "--set max_epoch=2 --set grad_clip=1 --set optim_conf.lr=0.0001"
    first = ablation.experiments[0].options["finetune_args"]
    assert first.endswith(
        "--set criterions.0.conf.share=[0.02,0.05] --set criterions.0.conf.pad_in_statistics=false"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("grids:", "grid:", "has a key 'grid'; known: expdir"),
        ("criterion: ssl_mse_pad", "critrion: x", "grids.padding has a key 'critrion'"),
        ("expdir: exp", "", "lacks expdir"),
        ("[false, true]", "false", "pad_in_statistics is False; give a list"),
        ("[false, true]", "[false, false]", "two experiments are called padding-share0.02"),
        ("[1.0e-4]", "['a b']", "makes no folder name"),
        (".grad_clip: 1", ".name: a b", "cannot hold blanks"),
    ],
)
def test_mistakes_name_file_and_key(recipe, old, new, message):
    Path("grid.yaml").write_text(GRID.replace(old, new))
    with pytest.raises(ConfigError, match=message) as error:
        read_ablation("grid.yaml")
    assert "grid.yaml" in str(error.value)


def test_some_grids_of_a_file(recipe):
    assert main(["grid.yaml", "--grids", "lr"]) == 0
    assert [c.get("--tag") for c in calls(recipe)] == ["lr-lr0.0001", None]
    assert not Path("prepared").exists()  # that belongs to the other grid
    table = Path("exp/ablation/table.md").read_text()
    assert "lr" in table and "padding" not in table
    with pytest.raises(ConfigError, match="no grid 'pading', but padding, lr"):
        read_ablation("grid.yaml", ["lr", "pading"])


def test_models_of_seeds_and_encoders_that_the_file_no_longer_names_are_left_out(recipe):
    Path("grid.yaml").write_text(GRID.replace("seeds: 1 2", "seeds: 1 2, upstreams: hubert=transformers:x"))
    ablation = read_ablation("grid.yaml")
    experiment = ablation.experiments[-1]  # two criterions
    for model, seed in (
        ("ssl_mse_hubert", 1),
        ("ssl_mse_hubert", 3),
        ("ssl_mse_wavlm", 1),
        ("old_hubert", 1),
    ):
        folder = ablation.expdir / f"{model}_{experiment.tag}_seed{seed}"
        folder.mkdir(parents=True)
        (folder / ".finished").touch()
    assert ablation.models(experiment) == [f"ssl_mse_hubert_{experiment.tag}_seed1"]


def test_runs_goes_on_after_a_failure_and_skips_what_is_done(recipe, capsys):
    broken = "padding-share0.02-0.05-pad_in_statistics-true"
    Path("broken").write_text(broken)
    assert main(["grid.yaml"]) == 1
    assert f"{broken} failed" in capsys.readouterr().err
    *training, evaluation = calls(recipe)
    assert Path("prepared").exists() and [c["--stage"] for c in training] == ["5"] * 5
    # One evaluation for all that was trained, with none of the options that say what is trained
    models = evaluation["--finetuned"].split()
    assert len(models) == 2 * (3 + 2) and not any(broken in name for name in models)
    assert models[0] == "ssl_mse_pad_hubert_padding-share0.02-0.05-pad_in_statistics-false_seed1"
    assert evaluation.keys() == {"--finetuned", "--stage", "--stop-stage"}
    Path("broken").unlink()
    assert main(["grid.yaml"]) == 0
    again = calls(recipe)[6:]
    assert [c.get("--tag") for c in again] == [broken, None]
    assert again[1]["--finetuned"].split() == [f"ssl_mse_pad_hubert_{broken}_seed{s}" for s in "12"]
    assert main(["grid.yaml"]) == 0 and len(calls(recipe)) == 8
    # Another setting is another experiment: run again, and the recipe decides whether it may
    Path("grid.yaml").write_text(GRID.replace("max_epoch: 2", "max_epoch: 3"))
    run_ablation("grid.yaml")
    assert len(calls(recipe)) == 14


def test_grids_with_other_options_of_scoring_are_scored_apart(recipe):
    Path("grid.yaml").write_text(GRID.replace("lr:\n", "lr:\n    options: {metrics: estoi}\n", 1))
    assert main(["grid.yaml"]) == 0
    first, second = calls(recipe)[5:]
    assert len(first["--finetuned"].split()) == 8 and "--metrics" not in first
    assert len(second["--finetuned"].split()) == 4 and second["--metrics"] == "estoi"


def test_table_has_intervals_differences_and_a_heat_map(recipe):
    main(["grid.yaml"])
    table = Path("exp/ablation/table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ssl_mse_pad_hubert")]
    assert rows[0].endswith("| share [0.02, 0.05], pad_in_statistics False | 2 | 10.0 [10.0, 10.0] |")
    assert rows[3].endswith("| **40.0 [40.0, 40.0] (+30.0)** |")
    assert "| ssl_softdtw_hubert | lr 0.0001 | 2 | 10.0" in table
    image = Path("exp/ablation/whisper_ssl_mse_pad_hubert_padding.png")
    assert image.read_bytes().startswith(b"\x89PNG") and f"({image.name})" in table
    assert len(list(image.parent.glob("*.png"))) == 1  # the other grid has one factor


def test_the_logs_of_scoring_are_no_recogniser(recipe):
    main(["grid.yaml"])
    Path("exp/scores/log/q").mkdir(parents=True)
    main(["grid.yaml", "--collect"])
    headings = [s for s in Path("exp/ablation/table.md").read_text().splitlines() if s.startswith("## ")]
    assert headings == ["## whisper"]


def test_trainings_run_as_jobs_of_a_launcher(recipe, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert main(["grid.yaml", "--cmd", f"{ROOT}/utils/run.pl"]) == 0
    stages = [(c["--stage"], c["--stop-stage"]) for c in calls(recipe)]
    assert sorted(stages[:5]) == [("5", "5")] * 5 and stages[5:] == [("6", "8")]
    assert "--stop-stage 5" in Path("exp/ablation/log/train.5.log").read_text()


def test_a_job_that_failed_is_called_again(recipe, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    Path("broken").write_text("lr-lr0.0001")
    assert main(["grid.yaml", "--cmd", f"{ROOT}/utils/run.pl"]) == 1
    stages = [c["--stage"] for c in calls(recipe)]
    assert stages == ["5"] * 6 + ["6"]  # those whose jobs were done are not called again
    assert "lr-lr0.0001 failed" in capsys.readouterr().err


def test_dry_run_and_collecting_nothing(recipe, capsys):
    assert main(["grid.yaml", "--dry-run"]) == 0
    assert "  5  lr-lr0.0001\n" in capsys.readouterr().out and not Path("calls").exists()
    Path("exp/scores").mkdir(parents=True)
    with pytest.raises(SystemExit, match="none of the 5 experiments was scored"):
        main(["grid.yaml", "--collect"])


def test_ranges_have_no_gaps():
    assert consecutive([1, 2, 3, 5, 7, 8]) == [(1, 3), (5, 5), (7, 8)]


def test_example_of_the_mini_recipe_expands():
    folder = ROOT / "egs2/mini_debian/enh1"
    ablation = read_ablation(folder / "conf/ablation.yaml")
    assert len(ablation.experiments) > 20
    for e in ablation.experiments:
        for criterion in e.options["criterion"].split():
            assert (folder / f"conf/criterion/{criterion}.yaml").exists()
