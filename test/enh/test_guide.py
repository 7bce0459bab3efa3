"""The guide's YAML and tables against the code."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

from espnet_posinv.criterions.base import SSLLoss
from espnet_posinv.enh.register import CRITERIONS, register

GUIDE = (Path(__file__).parents[2] / "doc/use_in_your_recipe.md").read_text(encoding="utf-8")
OURS = ("name", "upstream", "options", "only_for_test", "is_noise_loss", "is_dereverb_loss")


def keys(function):
    return {
        p.name: p.default
        for p in inspect.signature(function).parameters.values()
        if p.name not in ("self", *OURS)
    }


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", GUIDE, re.S))
def test_every_configuration_builds(block):
    from espnet2.tasks.enh import criterion_choices

    register()
    for entry in yaml.safe_load(block)["criterions"]:
        criterion_choices.get_class(entry["name"])(**entry["conf"])
        assert entry["wrapper"] == "fixed_order" and entry["wrapper_conf"]["weight"] > 0


def test_every_key_and_default_is_listed():
    for key in keys(SSLLoss.__init__):
        assert f"| `{key}` |" in GUIDE, key
    for name, criterion in CRITERIONS.items():
        for key, default in keys(criterion.__init__).items():
            row = next(
                (line for line in GUIDE.splitlines() if line.startswith("|") and f"`{key}`" in line), None
            )
            assert row is not None, (name, key)
            shown = {True: "true", False: "false", None: "none"}.get(
                default if isinstance(default, bool | None) else "", default
            )
            shown = list(shown) if isinstance(shown, tuple) else shown
            assert str(shown) in row, (name, key, row)
