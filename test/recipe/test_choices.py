"""A wrong SSL model, layer, recogniser or number of GPUs is told in a line that names the option."""

from pathlib import Path

import pytest
import torch

from espnet_posinv.recipe.choices import main

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "egs2/mini_debian/ssl1/mini_hubert"
CRITERION = str(ROOT / "egs2/librispeech_demand/enh1/conf/criterion/ssl_mse.yaml")
LAYER = "criterions.0.conf.layers="


@pytest.mark.parametrize(
    ("layers", "states"), [("-1", "6"), ("0", "0"), ("conv", "conv"), ("all", "0, 1, 2, 3, 4, 5, 6")]
)
def test_a_model_that_can_be_used_is_named_with_its_layers(layers, states, capsys):
    assert main(["--upstream", f"mini=transformers:{MODEL}", "--set", LAYER + layers, CRITERION]) == 0
    assert f"mini: HuBERT 6 x 256 (self-supervised), compared at {states}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--upstream", "mini"], "--upstreams mini: write it like hubert=transformers:"),
        (["--upstream", "a=transfomers:/x"], "LOADER one of transformers, torchaudio"),
        (["--upstream", "a=transformers:/nowhere"], "transformers:/nowhere: there is no such folder"),
        (
            ["--upstream", f"a=transformers:{MODEL}", "--set", f"{LAYER}7"],
            "layer 7: the model has hidden states 0 to 6",
        ),
        (["--upstream", f"a=transformers:{MODEL}", "--set", "layers"], "--set wants KEY=VALUE, not 'layers'"),
        (["--recogniser", "whisper:base"], "--recognisers whisper:base: write it like whisper-base=whisper:"),
        (["--recogniser", "a=wisper:base"], "no 'wisper' here: there are whisper, whisper_transformers"),
        (["--recogniser", "a=whisper:/nowhere"], "/nowhere is no Whisper folder"),
        (["--recogniser", "a=espnet:/nowhere,beam_size=2"], "/nowhere does not exist"),
        (["--ngpu", "99"], f"--ngpu 99: this machine has {torch.cuda.device_count()} GPUs"),
    ],
)
def test_what_cannot_be_used_is_refused(args, message, capsys):
    assert main([*args, CRITERION]) == 1
    said = capsys.readouterr().err
    assert message in said and said.startswith("choices: --") and said.count("\n") == 1
