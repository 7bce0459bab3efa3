"""Merging of training configurations."""

import pytest
import yaml

from espnet_posinv import cli
from espnet_posinv.recipe import config

merge = cli.command("recipe", "config")


def test_merge_goes_key_by_key_and_replaces_lists():
    base = {"optim_conf": {"lr": 1, "eps": 2}, "criterions": [1, 2], "seed": 0}
    over = {"optim_conf": {"lr": 3}, "criterions": [4]}
    assert config.merge(base, over) == {"optim_conf": {"lr": 3, "eps": 2}, "criterions": [4], "seed": 0}
    assert base["optim_conf"]["lr"] == 1


def test_assign_reads_values_as_yaml_and_indexes_lists():
    tree = {"criterions": [{"conf": {}}]}
    config.assign(tree, "criterions.0.conf.gamma", "0.1")
    config.assign(tree, "optim_conf.lr", "1.0e-4")
    config.assign(tree, "init_param", "[a.pth]")
    assert tree == {
        "criterions": [{"conf": {"gamma": 0.1}}],
        "optim_conf": {"lr": 1e-4},
        "init_param": ["a.pth"],
    }
    with pytest.raises(config.ConfigError, match=r"criterions\.3\.conf"):
        config.assign(tree, "criterions.3.conf", "1")


def test_command_line_writes_the_merged_file(tmp_path):
    (tmp_path / "base.yaml").write_text("seed: 0\noptim_conf: {lr: 1.0}\n")
    (tmp_path / "over.yaml").write_text("optim_conf: {lr: 2.0}\n")
    files = [str(tmp_path / "base.yaml"), str(tmp_path / "over.yaml")]
    output = tmp_path / "exp/a/train.yaml"
    assert merge(["--set", "seed=7", "--output", str(output), *files]) == 0
    assert yaml.safe_load(output.read_text()) == {"seed": 7, "optim_conf": {"lr": 2.0}}
    assert [p.name for p in output.parent.iterdir()] == ["train.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [", r"conf.yaml:2: not YAML \(expected the node content.*\); mend it"),
        ("- 1", "mapping"),
        (None, "no configuration"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "conf.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match=message):
        merge(["--output", str(tmp_path / "out.yaml"), str(path)])


def test_setting_without_value_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1\n")
    with pytest.raises(SystemExit, match="KEY=VALUE, not 'a'"):
        merge(["--set", "a", "--output", str(tmp_path / "o"), str(tmp_path / "a.yaml")])


def test_noise_that_is_not_there_is_told_before_the_training(tmp_path):
    (tmp_path / "a.yaml").write_text(f"preprocessor_conf: {{noise_scp: {tmp_path}/noise}}\n")
    command = ["--output", str(tmp_path / "o"), str(tmp_path / "a.yaml")]
    with pytest.raises(
        SystemExit, match=r"a\.yaml: preprocessor_conf\.noise_scp: .*/noise: no such file; name"
    ):
        merge(command)
    (tmp_path / "noise").mkdir()
    with pytest.raises(SystemExit, match="no noise in it; name yours: --set preprocessor_conf"):
        merge(command)
    (tmp_path / "noise/rain.wav").write_bytes(b"RIFF")
    assert merge(command) == 0
