"""Stages: when one runs, when it is skipped, and what a missing input says."""

import json
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from espnet_posinv.recipe import made_from
from espnet_posinv.recipe.contents import Contents
from espnet_posinv.recipe.stage import FAIL, RUN, SKIP, Stage, begin, end

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recipe(tmp_path):
    """Functions to begin and end stages of a fresh run in a temporary folder."""

    class Recipe:
        folder = tmp_path
        plan = tmp_path / "plan"

        def new_run(self):
            self.plan.write_text("")

        def begin(self, stage, first=1, last=9, mode="run", redo=False):
            return begin(stage, self.plan, tmp_path / "stamps", first, last, mode, redo)

        def end(self, number):
            return end(self.plan, tmp_path / "stamps", number, time.time())

    made = Recipe()
    made.new_run()
    return made


def run_once(recipe, stage):
    assert recipe.begin(stage) == RUN
    for path in stage.writes:
        Path(path).write_text("made")
    assert recipe.end(stage.number) == 0
    recipe.new_run()


def test_finished_stage_is_skipped_until_something_changes(recipe):
    source, made = str(recipe.folder / "source"), str(recipe.folder / "made")
    Path(source).write_text("1")
    run_once(recipe, Stage(1, "one", "a", [source], [made]))
    assert recipe.begin(Stage(1, "one", "a", [source], [made])) == SKIP
    assert recipe.begin(Stage(1, "one", "a", [source], [made]), redo=True) == RUN
    assert recipe.begin(Stage(1, "one", "b", [source], [made])) == RUN  # another option
    os.utime(source)
    assert recipe.begin(Stage(1, "one", "a", [source], [made])) == SKIP  # touched, not changed
    Path(source).write_text("2")
    os.utime(source, (1, 1))
    assert recipe.begin(Stage(1, "one", "a", [source], [made])) == RUN  # another input, however old
    Path(source).write_text("1")
    assert recipe.begin(Stage(1, "one", "a", [source], [made])) == SKIP
    os.remove(made)
    assert recipe.begin(Stage(1, "one", "a", [source], [made])) == RUN  # an output is gone


def test_missing_input_names_the_stage_that_makes_it(recipe, capsys):
    folder = str(recipe.folder / "exp/model")
    assert recipe.begin(Stage(4, "train", writes=[folder]), first=6) == SKIP
    assert recipe.begin(Stage(6, "enhance", reads=[folder + "/model.pth"]), first=6) == FAIL
    message = capsys.readouterr().err
    assert f"needs {folder}/model.pth" in message and "stage 4 (train) makes it: add --stage 4" in message


def test_missing_file_beside_what_a_stage_makes(recipe, capsys):
    folder = recipe.folder / "exp/model"
    recipe.begin(Stage(4, "train", writes=[f"{folder}/config.yaml"]), first=6)
    assert recipe.begin(Stage(6, "enhance", reads=[f"{folder}/model.pth"]), first=6) == FAIL
    assert "stage 4 (train) makes it" in capsys.readouterr().err
    assert recipe.begin(Stage(7, "more", reads=[f"{folder.parent}/other/model.pth"]), first=6) == FAIL
    assert "no stage makes it" in capsys.readouterr().err


def test_missing_input_that_no_stage_makes(recipe, capsys):
    assert recipe.begin(Stage(1, "prepare", reads=["nowhere.txt"])) == FAIL
    assert "nowhere.txt" in (message := capsys.readouterr().err) and "check the path" in message


def test_out_of_range_and_listing_run_nothing(recipe, capsys):
    assert recipe.begin(Stage(3, "three"), first=4, last=5) == SKIP
    assert recipe.begin(Stage(4, "four"), mode="list") == SKIP
    assert recipe.begin(Stage(5, "five", reads=["gone"]), mode="dry-run") == SKIP
    out = capsys.readouterr().out
    assert "four" in out and "not done yet" in out and "gone   (not there)" in out


def test_stage_that_does_not_write_what_it_declares_fails_and_leaves_no_stamp(recipe, capsys):
    stage = Stage(2, "two", writes=[str(recipe.folder / "promised")])
    assert recipe.begin(stage) == RUN
    assert recipe.end(2) == FAIL
    assert "ended without writing" in capsys.readouterr().err
    assert not (recipe.folder / "stamps").exists()


def test_stage_that_changes_its_input_in_place_is_done(recipe):
    table = recipe.folder / "utt2spk"
    table.write_text("1")
    assert recipe.begin(Stage(2, "two", reads=[str(table)], writes=[str(table)])) == RUN
    table.write_text("2")
    assert recipe.end(2) == 0
    assert recipe.begin(Stage(2, "two", reads=[str(table)], writes=[str(table)])) == SKIP
    table.write_text("3")
    assert recipe.begin(Stage(2, "two", reads=[str(table)], writes=[str(table)])) == RUN


def test_input_that_changes_while_the_stage_runs_is_found_the_next_time(recipe):
    source = recipe.folder / "source"
    source.write_text("1")
    stage = Stage(1, "one", reads=[str(source)])
    assert recipe.begin(stage) == RUN
    source.write_text("2")
    assert recipe.end(1) == 0
    assert recipe.begin(stage) == RUN


def test_stage_refuses_a_product_of_other_data_and_its_maker_runs_again(recipe, capsys):
    data, model = recipe.folder / "data", recipe.folder / "exp/model"
    data.write_text("1")
    train = Stage(5, "train", reads=[], writes=[str(model)])
    assert recipe.begin(train) == RUN
    assert made_from.begin(model, [str(data)], {}, Contents()) == made_from.MAKE
    model.write_text("weights")
    assert recipe.end(5) == 0
    recipe.new_run()
    assert recipe.begin(train) == SKIP
    assert recipe.begin(Stage(6, "enhance", reads=[str(model)])) == RUN
    data.write_text("2")
    recipe.new_run()
    assert recipe.begin(train, first=6) == SKIP
    assert recipe.begin(Stage(6, "enhance", reads=[str(model)]), first=6) == FAIL
    said = capsys.readouterr().err
    assert f"needs {model}, which was made from something else; stage 5 (train) makes it" in said
    assert f"  {data}: other content" in said
    assert recipe.begin(train) == RUN
    assert f"; {data}: other content" in capsys.readouterr().out


def test_unreadable_stamp_means_run_again(recipe):
    run_once(recipe, Stage(1, "one"))
    (recipe.folder / "stamps/stage1.json").write_text('{"key": ')
    assert recipe.begin(Stage(1, "one")) == RUN


def end_often(recipe_folder):
    plan, stamps = recipe_folder / "plan", recipe_folder / "stamps"
    return any(end(plan, stamps, 1, time.time()) for _ in range(300))


def test_runs_that_end_a_stage_at_a_time_do_not_disturb_each_other(recipe):
    assert recipe.begin(Stage(1, "one", "key")) == RUN
    with ProcessPoolExecutor(4) as pool:
        assert not any(pool.map(end_often, [recipe.folder] * 4))
    assert [path.name for path in (recipe.folder / "stamps").iterdir()] == ["stage1.json"]
    assert recipe.begin(Stage(1, "one", "key")) == SKIP


def test_from_shell_a_killed_stage_runs_again_and_a_finished_one_does_not(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text(
        textwrap.dedent(f"""
        set -euo pipefail
        stage=1 stop_stage=9 expdir={tmp_path}/exp python={sys.executable}
        . {ROOT}/utils/stage.sh
        if stage 1 "first" --writes {tmp_path}/one; then echo ran1; echo x > {tmp_path}/one; stage_done; fi
        if stage 2 "second" --key "$*" --reads {tmp_path}/one --writes {tmp_path}/two; then
            echo ran2; [ "$1" != die ] || kill -9 $$
            echo x > {tmp_path}/two; stage_done
        fi
        """)
    )

    def run(word):
        return subprocess.run(
            ["bash", script, word],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    first = run("die")
    assert first.returncode == -9 and "ran1" in first.stdout and "ran2" in first.stdout
    second = run("live")
    assert second.returncode == 0 and "ran1" not in second.stdout and "ran2" in second.stdout
    third = run("live")
    assert (
        third.returncode == 0 and "ran" not in third.stdout.replace("runs", "") and "skipped" in third.stdout
    )
    assert json.loads((tmp_path / "exp/.stages/stage2.json").read_text())["key"] == "live"
