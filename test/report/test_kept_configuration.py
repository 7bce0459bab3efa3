"""A report names the criterion of a model whose config.yaml keeps it for ESPnet's inference."""

import yaml

from espnet_posinv.report.systems import System
from espnet_posinv.report.training import read_training


def test_the_criterion_is_found_where_it_is_kept(tmp_path):
    listed = [{"name": "ssl_softdtw", "conf": {"upstream": "whisper:any"}}]
    for name, config in {
        "new": {"criterions": [], "posinv": {"criterions": listed}},
        "old": {"criterions": listed},
    }.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        system = System(name, [read_training(folder)])
        assert (system.criterion, system.upstream) == ("ssl_softdtw", "whisper:any")
