import json

import pytest

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.task_tables import task_tables


def write(folder, system, value, low=None, high=None, measure="EER"):
    (folder / "speaker" / system).mkdir(parents=True, exist_ok=True)
    total = {measure: {"value": value, "low": low, "high": high}}
    record = {"settings": {"task": "speaker", "model": "m", "trials": ""}, "total": total}
    (folder / "speaker" / system / "test.json").write_text(json.dumps(record))


def test_rows_seeds_and_intervals(tmp_path):
    write(tmp_path, "ssl_mse_x_seed1", 10.0, 5.0, 15.0)
    write(tmp_path, "ssl_mse_x_seed2", 20.0, 15.0, 25.0)
    write(tmp_path, "noisy", 12.5, 10.04, 14.96)
    (table,) = task_tables(tmp_path, ["test", "other"])
    assert (table.task, table.measure, table.note) == ("speaker", "EER", "task speaker, model m")
    assert table.head == ["system", "seeds", "test", "other"]
    assert table.rows == [
        ["`noisy`", "1", "12.5 [10, 15]", "-"],
        ["`ssl_mse_x`", "2", "15 (10 to 20)", "-"],
    ]
    write(tmp_path, "noisy", 0.5, measure="similarity")
    assert {t.measure for t in task_tables(tmp_path, ["test"])} == {"EER", "similarity"}


def test_files_of_another_kind(tmp_path):
    (tmp_path / "speaker/noisy").mkdir(parents=True)
    (tmp_path / "speaker/noisy/test.json").write_text("{}")
    with pytest.raises(DataError, match=r"noisy/test.json: no scores of `posinv score task` \('settings'\)"):
        task_tables(tmp_path, ["test"])
    assert task_tables(tmp_path / "nothing", ["test"]) == []
