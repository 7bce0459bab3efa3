"""The configuration beside a trained model: stock ESPnet enhances with it."""

import argparse
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from espnet_posinv.enh import model_folder
from espnet_posinv.enh.task import PosinvEnhancementTask

OURS = {"name": "ssl_mse", "conf": {"upstream": "transformers:any"}}
THEIRS = {"name": "si_snr", "conf": {}}
NAMES = {"ssl_mse", "noise_mixing"}

# ESPnet as a user has it who never heard of this package, or who imports it and does no more.
INFERENCE = """
import sys
{first}
import numpy as np
from espnet2.bin.enh_inference import SeparateSpeech
enhance = SeparateSpeech(train_config=sys.argv[1], model_file=sys.argv[2], normalize_output_wav=False)
(out,) = enhance(np.load(sys.argv[3])[None], 16000)
np.save(sys.argv[4], out[0])
if not {ours}:
    assert not any(name.split(".")[0] == "espnet_posinv" for name in sys.modules)
"""


def test_only_what_is_ours_moves():
    args = argparse.Namespace(
        criterions=[OURS, THEIRS], preprocessor="noise_mixing", preprocessor_conf={"snrs": [5]}
    )
    given = {key: value for key, value in vars(args).items()}
    model_folder.move(args, NAMES)
    assert (args.criterions, args.preprocessor, args.preprocessor_conf) == ([THEIRS], None, {})
    assert model_folder.as_trained(vars(args)) == given
    theirs = argparse.Namespace(criterions=[THEIRS], preprocessor="enh", preprocessor_conf={})
    model_folder.move(theirs, NAMES)
    assert theirs.criterions == [THEIRS] and theirs.preprocessor == "enh" and not hasattr(theirs, "posinv")


@pytest.fixture(scope="module")
def trained(config, data, tmp_path_factory):
    """Folders of two small models: ESPnet's own separator, and ours."""
    root = tmp_path_factory.mktemp("kept")
    theirs = {
        "encoder": "conv",
        "encoder_conf": {"channel": 8, "kernel_size": 16, "stride": 8},
        "decoder": "conv",
        "decoder_conf": {"channel": 8, "kernel_size": 16, "stride": 8},
        "separator": "rnn",
        "separator_conf": {"num_spk": 1, "layer": 1, "unit": 8},
    }
    for name, changes in {"theirs": theirs, "ours": {}}.items():
        path = config(root / f"{name}.yaml", {"ssl_mse": {}, "si_snr": {}}, max_epoch=1, **changes)
        PosinvEnhancementTask.main(cmd=["--config", str(path), *data, "--output_dir", str(root / name)])
    return root


@pytest.mark.parametrize(("name", "first"), [("theirs", ""), ("ours", "import espnet_posinv")])
def test_stock_espnet_enhances(trained, tmp_path, name, first):
    folder = trained / name
    noisy = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    np.save(tmp_path / "noisy.npy", noisy)
    code = INFERENCE.format(first=first, ours=bool(first))
    files = [folder / "config.yaml", folder / "1epoch.pth", tmp_path / "noisy.npy", tmp_path / "out.npy"]
    run = subprocess.run([sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    values = yaml.safe_load((folder / "config.yaml").read_text())
    assert [item["name"] for item in values["criterions"]] == ["si_snr"]
    assert [item["name"] for item in values["posinv"]["criterions"]] == ["ssl_mse", "si_snr"]
    model, _ = PosinvEnhancementTask.build_model_from_file(folder / "config.yaml", folder / "1epoch.pth")
    with torch.no_grad():
        expected = model.eval().forward_enhance(torch.from_numpy(noisy)[None], torch.tensor([8000]))[0][0]
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("key", ["criterions", "enh_criterions"])
def test_the_one_ssl_criterion_is_found_wherever_it_is_kept(tmp_path, key):
    path = tmp_path / "c.yaml"
    for config in ({key: [THEIRS, OURS]}, {key: [THEIRS], "posinv": {key: [THEIRS, OURS]}}):
        path.write_text(yaml.safe_dump(config))
        assert model_folder.ssl_criterion(path) == OURS
    path.write_text(yaml.safe_dump({key: [{"name": "ssl_mse"}]}))
    assert model_folder.ssl_criterion(path) == {"name": "ssl_mse", "conf": {}}


@pytest.mark.parametrize(("listed", "count"), [([], 0), ([THEIRS], 0), ([OURS, OURS], 2)])
def test_none_or_several_ssl_criterions_are_refused(tmp_path, listed, count):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"criterions": listed}))
    with pytest.raises(ValueError, match=rf"c\.yaml: one SSL criterion .*there are {count}"):
        model_folder.ssl_criterion(tmp_path / "c.yaml")
