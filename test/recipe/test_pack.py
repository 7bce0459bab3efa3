"""Packed models: the same output as the experiment's, without its paths and criterions."""

import numpy as np
import pytest
import torch
import yaml

from espnet_posinv import cli
from espnet_posinv.recipe.pack import pack


@pytest.fixture
def experiment(tmp_path):
    from espnet_posinv.enh.nsnet2 import NSNet2Separator

    torch.manual_seed(0)
    network = NSNet2Separator(1)
    folder = tmp_path / "exp"
    folder.mkdir()
    torch.save({f"separator.{k}": v for k, v in network.state_dict().items()}, folder / "valid.loss.best.pth")
    config = {
        **{"encoder": "same", "encoder_conf": {}, "separator": "nsnet2", "separator_conf": {}},
        **{"decoder": "same", "decoder_conf": {}, "model_conf": {}, "num_spk": 1, "preprocessor": "enh"},
        **{
            "preprocessor_conf": {},
            "output_dir": "/home/me/exp",
            "init_param": ["/home/me/nsnet2/model.pth"],
        },
        "criterions": [{"name": "ssl_mse", "conf": {"upstream": "transformers:/home/me/hubert"}}],
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_packed_model_enhances_like_the_experiment(experiment, tmp_path):
    from espnet_posinv.enh.enhancer import Enhancer

    pack(experiment / "config.yaml", experiment / "valid.loss.best.pth", tmp_path / "packed")
    assert sorted(p.name for p in (tmp_path / "packed").iterdir()) == ["config.yaml", "model.pth"]
    assert "/home/me" not in (tmp_path / "packed/config.yaml").read_text()
    noisy = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    before = Enhancer.from_pretrained(experiment)(noisy)
    np.testing.assert_array_equal(Enhancer.from_pretrained(tmp_path / "packed")(noisy), before)


def test_wrong_files_are_named(experiment, tmp_path):
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"broken\.pth is broken"):
        pack(experiment / "config.yaml", broken, tmp_path / "out")
    torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, broken)
    with pytest.raises(ValueError, match=r"more than tensors \(model, epoch\)"):
        pack(experiment / "config.yaml", broken, tmp_path / "out")
    (tmp_path / "other.yaml").write_text("asr: true\n")
    with pytest.raises(ValueError, match="names no separator"):
        pack(tmp_path / "other.yaml", experiment / "valid.loss.best.pth", tmp_path / "out")
    with pytest.raises(SystemExit, match=r"pack: .*nowhere"):
        cli.command("recipe", "pack")(
            ["--config", "nowhere.yaml", "--model", str(broken), "--output-dir", str(tmp_path / "out")]
        )
    assert not (tmp_path / "out").exists()
