"""A training configuration is refused for what ESPnet, or a class it builds, would not take."""

from pathlib import Path

import pytest

from espnet_posinv.recipe.check_config import config_problems
from espnet_posinv.recipe.config import merged

ROOT = Path(__file__).parents[2]
MINI = ROOT / "egs2/mini_debian/enh1/conf"
PAPER = ROOT / "egs2/librispeech_demand/enh1/conf"
UPSTREAM = "criterions.0.conf.upstream=transformers:x"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("max_epohc=1", "max_epohc: no setting of ESPnet; is max_epoch meant?"),
        ("zzz=1", "zzz: no setting of ESPnet"),
        ("max_epoch=abc", "max_epoch: 'abc' is no int"),
        ("max_epoch=1.5", "max_epoch: '1.5' is no int"),
        ("max_epoch=0", "max_epoch: 0, but at least 1 is needed"),
        ("num_workers=-1", "num_workers: -1, but at least 0 is needed"),
        ("optim=adamm", "optim: no 'adamm'; is adam meant?"),
        ("use_amp=maybe", "use_amp: 'maybe' is no str2bool"),
        ("scheduler_conf=3", "scheduler_conf: 3, but settings of the form NAME: VALUE are needed"),
        ("val_scheduler_criterion=valid", "val_scheduler_criterion: 'valid', but a list of 2 is needed"),
        ("optim_conf.lrr=1", "optim_conf: adam: Adam.__init__() got an unexpected keyword argument 'lrr'"),
        ("optim_conf.lr=-1", "optim_conf: adam: Invalid learning rate: -1"),
        ("optim_conf.lr=fast", "({'lr': 'fast'})"),
        (
            "preprocessor_conf.noise=1",
            "the preprocessor cannot be built: TypeError: NoiseMixing.__init__() got an",
        ),
        ("preprocessor_conf.snrs=loud", "ValueError: snrs: 'loud', but a list of numbers is needed"),
        ("scheduler_conf.warmup=1", "unexpected keyword argument 'warmup'"),
        ("separator_conf.x=3", "the model cannot be built: TypeError: NSNet2Separator.__init__() got an"),
        ("criterions.0.conf.gama=1", "unexpected keyword argument 'gama'"),
        (
            "criterions.0.conf.gamma=-1",
            "the model cannot be built: ValueError: soft-DTW: gamma must be positive and finite",
        ),
        ("output_dir=x", "output_dir: no setting of ESPnet"),
    ],
)
def test_problem_names_the_setting(setting, problem):
    files = [MINI / "finetune.yaml", MINI / "criterion/ssl_softdtw.yaml"]
    (found,) = config_problems(merged(files, [UPSTREAM, setting]))
    assert problem in found


def test_configurations_of_the_recipes_are_sound():
    for criterion in (MINI / "criterion").glob("*.yaml"):
        assert config_problems(merged([MINI / "finetune.yaml", criterion], [UPSTREAM])) == []
    assert config_problems(merged([MINI / "train_convtasnet.yaml"], [])) == []
    base = [PAPER / "common.yaml", PAPER / "train_convtasnet.yaml"]
    assert config_problems(merged(base, ["preprocessor_conf.noise_scp=x"])) == []
    tuned = [*base, PAPER / "finetune_convtasnet.yaml", PAPER / "criterion/ssl_mse.yaml"]
    assert config_problems(merged(tuned, [UPSTREAM])) == []
