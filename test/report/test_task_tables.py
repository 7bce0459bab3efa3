import json

import pytest

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.experiment import Experiment, Places
from espnet_posinv.report.scores import load_tasks
from espnet_posinv.report.tables import task_section


def write(folder, system, value, low=None, high=None, measure="EER"):
    (folder / "speaker" / system).mkdir(parents=True, exist_ok=True)
    total = {measure: {"value": value, "low": low, "high": high}}
    record = {"settings": {"task": "speaker", "model": "m", "trials": ""}, "total": total}
    (folder / "speaker" / system / "test.json").write_text(json.dumps(record))


def test_rows_seeds_and_intervals(tmp_path):
    write(tmp_path, "ssl_mse_x_seed1", 10.0, 5.0, 15.0)
    write(tmp_path, "ssl_mse_x_seed2", 20.0, 15.0, 25.0)
    write(tmp_path, "noisy", 12.5, 10.04, 14.96)
    places = Places(tmp_path, tmp_path, tmp_path, ["test", "other"])
    tasks = load_tasks(tmp_path, places.test_sets)
    ((section,),) = [task_section(Experiment(places, {}, {}, {}, {}, tasks, [])).blocks]
    note, table = section.blocks
    assert (section.title, note) == ("speaker: EER", "task speaker, model m")
    assert table.head == ["system", "seeds", "test", "other"]
    assert table.rows == [["noisy", "1", "12.5 [10, 15]", "-"], ["ssl_mse_x", "2", "15 (10 to 20)", "-"]]
    write(tmp_path, "noisy", 0.5, measure="similarity")
    assert {task.measure for task in load_tasks(tmp_path, ["test"])} == {"EER", "similarity"}


def test_files_of_another_kind(tmp_path):
    (tmp_path / "speaker/noisy").mkdir(parents=True)
    (tmp_path / "speaker/noisy/test.json").write_text("{}")
    with pytest.raises(DataError, match=r"noisy/test.json: no scores \(.settings. is missing\); delete it"):
        load_tasks(tmp_path, ["test"])
    assert load_tasks(tmp_path / "nothing", ["test"]) == []
