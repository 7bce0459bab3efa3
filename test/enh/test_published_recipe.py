"""ESPnet's own enhancement template, unmodified, from stage 1 to the end; where a checkout is named:

    ESPNET=/path/to/espnet python -m pytest test/enh/test_published_recipe.py

With ``-m slow`` on a real Slurm.  Without a checkout, test_tools.py makes the calls of its stages 5 to 8.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = os.environ.get("ESPNET", "")
TEMPLATE = Path(CHECKOUT) / "egs2/TEMPLATE"

pytestmark = pytest.mark.skipif(not CHECKOUT, reason="no checkout of ESPnet is named (ESPNET=...)")

# Scripts newer than 202511 import espnet2.legacy; to an older ESPnet it comes from the checkout.
LEGACY = (Path(CHECKOUT) / "espnet2/legacy").is_dir() and importlib.util.find_spec("espnet2.legacy") is None
SEARCHED = [str(ROOT), *([CHECKOUT] if LEGACY else []), os.environ.get("PYTHONPATH", "")]
# Jobs source this file again, in the environment that their scheduler gives them.
PATHS = f"""
export PATH={Path(sys.executable).parent}:$PWD/utils:$PATH PYTHONPATH={":".join(SEARCHED)}
export LC_ALL=C OMP_NUM_THREADS=1 PYTHONIOENCODING=UTF-8
"""
COMMANDS = 'train_cmd="{0}" cuda_cmd="{0}" decode_cmd="{0}"\n'
DATA = """#!/usr/bin/env bash
set -euo pipefail
for set in train valid; do
    mkdir -p "data/${set}"
    cp "CORPUS/${set}"/{wav,spk1}.scp "data/${set}"
    awk '{print $1, "spk"}' "data/${set}/wav.scp" > "data/${set}/utt2spk"
    utils/utt2spk_to_spk2utt.pl "data/${set}/utt2spk" > "data/${set}/spk2utt"
    cp "data/${set}/spk1.scp" "data/${set}/enroll_spk1.scp"
done
"""
EXTRACTION = {
    "encoder": "conv",
    "encoder_conf": {"channel": 8, "kernel_size": 16, "stride": 8},
    "decoder": "conv",
    "decoder_conf": {"channel": 8, "kernel_size": 16, "stride": 8},
    "extractor": "td_speakerbeam",
    "extractor_conf": {
        "layer": 1,
        "stack": 1,
        "i_adapt_layer": 0,
        "bottleneck_dim": 8,
        "hidden_dim": 8,
        "skip_dim": 8,
        "adapt_enroll_dim": 8,
    },
    "model_conf": {"num_spk": 1},
}


@pytest.fixture
def recipe(corpus, tmp_path):
    """recipe(utils, launcher) makes a recipe of the template's files, with these utils."""

    def make(utils, launcher):
        recipe = tmp_path / "egs2/tones/enh1"
        (recipe / "local").mkdir(parents=True)
        (recipe / "conf").mkdir()
        for name, target in {
            "enh.sh": TEMPLATE / "enh1/enh.sh",
            "scripts": TEMPLATE / "enh1/scripts",
            "pyscripts": TEMPLATE / "asr1/pyscripts",
            "utils": utils,
            "conf/slurm.conf": TEMPLATE / "enh1/conf/slurm.conf",
        }.items():
            (recipe / name).symlink_to(target)
        (recipe / "path.sh").write_text(PATHS)
        (recipe / "cmd.sh").write_text(COMMANDS.format(launcher))
        (recipe / "local/data.sh").write_text(DATA.replace("CORPUS", str(corpus)))
        (recipe / "local/data.sh").chmod(0o755)
        return recipe

    return make


def run(recipe, *options, env=None):
    """Run all stages; the folder of the model."""
    done = subprocess.run(
        [
            *("./enh.sh", "--python", "python3 -m espnet_posinv", "--ngpu", "0", "--nj", "1"),
            *("--inference_nj", "1", "--fs", "16k", "--audio_format", "wav", "--ref_num", "1"),
            *("--lang", "en", "--skip_packing", "false", *options),
            *("--train_set", "train", "--valid_set", "valid", "--test_sets", "valid"),
            *("--enh_config", "conf/train.yaml", "--inference_model", "valid.loss.best.pth"),
        ],
        cwd=recipe,
        capture_output=True,
        text=True,
        env=env,
    )
    logs = "".join(p.read_text(errors="replace")[-2000:] for p in recipe.glob("exp/**/*.log"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:] + logs
    model = recipe / "exp/enh_train_raw"
    assert len((model / "enhanced_valid/spk1.scp").read_text().splitlines()) == 3
    assert (model / "RESULTS.md").exists() and list(model.glob("*.zip"))
    return model


@pytest.mark.parametrize("extraction", [False, True], ids=["enh", "tse"])
def test_the_published_template(config, recipe, extraction):
    folder = recipe(ROOT / "utils", "run.pl")
    path = config(folder / "conf/train.yaml", {"ssl_softdtw": {}}, max_epoch=1)
    if extraction:
        values = yaml.safe_load(path.read_text())
        del values["separator"], values["separator_conf"]
        path.write_text(yaml.safe_dump({**values, **EXTRACTION}))
    model = run(folder, "--is_tse_task", "true" if extraction else "false")
    assert "padding counts as speech" not in (model / "train.log").read_text()
    kept = yaml.safe_load((model / "config.yaml").read_text())
    assert kept["criterions"] == [] and kept["posinv"]["criterions"][0]["name"] == "ssl_softdtw"


@pytest.mark.slow
@pytest.mark.parametrize("utils", [ROOT / "utils", TEMPLATE / "asr1/utils"], ids=["ours", "espnet"])
def test_the_published_template_on_slurm(config, recipe, slurm_engine, utils):
    """Its jobs through our slurm.pl and through ESPnet's, with the template's own conf/slurm.conf."""
    folder = recipe(utils, "slurm.pl --mem 4G")  # the test cluster gives a job 500M otherwise
    config(folder / "conf/train.yaml", {"ssl_softdtw": {}}, max_epoch=1)
    model = run(folder, env={**os.environ, **slurm_engine})
    for log in ("train.log", "enhanced_valid/logdir/enh_inference.1.log"):
        assert "ci-n" in (model / log).read_text()  # the name of a node
