"""A wrong SSL model, layer, recogniser or number of GPUs is told in a line that names the option."""

from pathlib import Path

import pytest
import torch

from espnet_posinv.cli import command

main = command("recipe", "choices")

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
        (["--upstream", f"a/b=transformers:{MODEL}"], "a/b becomes a folder's name"),
        (
            ["--recogniser", "a=whisper:x", "--recogniser", "a=whisper:y", "--later", "."],
            "--recognisers: two are called a; each needs a name of its own",
        ),
        (["--metrics", "pesq,snr"], "--metrics snr: there are pesq, estoi, si_sdr, dnsmos, none"),
        (["--ngpu", "99"], f"--ngpu 99: this machine has {torch.cuda.device_count()} GPUs"),
    ],
)
def test_what_cannot_be_used_is_refused(args, message, capsys):
    assert main([*args, CRITERION]) == 1
    said = capsys.readouterr().err
    assert message in said and said.startswith("choices: --") and said.count("\n") == 1


def test_what_stage_1_fetches_is_tried_when_it_is_there(tmp_path, capsys):
    models = [
        "--upstream",
        f"a=transformers:{tmp_path}/x",
        "--recogniser",
        f"b=whisper:{tmp_path}/y,beam_size=2",
    ]
    assert main([*models, "--later", str(tmp_path), CRITERION]) == 0
    (tmp_path / "y").mkdir()
    assert main([*models, "--later", str(tmp_path), CRITERION]) == 1
    assert f"{tmp_path}/y is no Whisper folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "language", "wrong"),
    [("base", "de", False), ("base", "xx", True), ("tiny.en", "de", True), ("tiny.en", "en", False)],
)
def test_language_is_one_that_the_recogniser_knows(tmp_path, capsys, name, language, wrong):
    folder = tmp_path / name
    folder.mkdir()
    for file in ("config.json", "model.bin", "vocabulary.txt"):
        (folder / file).write_text("{}")
    (folder / "tokenizer.json").write_text('{"content": "<|en|>", "also": "<|de|>"}')
    assert main(["--recogniser", f"a=whisper:{folder}", "--language", language, CRITERION]) == wrong
    assert (f"--lang {language}: {name} does not know it" in capsys.readouterr().err) == wrong


@pytest.mark.parametrize(
    ("name", "language", "wrong"),
    [("base", "de", False), ("base", "xx", True), ("tiny.en", "de", True), ("tiny.en", "en", False)],
)
def test_language_of_a_recogniser_that_stage_1_fetches(tmp_path, capsys, name, language, wrong):
    args = ["--recogniser", f"a=whisper:{tmp_path}/{name},beam_size=2", "--later", str(tmp_path), CRITERION]
    assert main([*args, "--language", language]) == wrong
    assert (f"--lang {language}: {name} does not know it" in capsys.readouterr().err) == wrong


def test_back_end_of_a_recogniser_that_stage_1_fetches(tmp_path, capsys):
    assert main(["--recogniser", f"a=wisper:{tmp_path}/base", "--later", str(tmp_path), CRITERION]) == 1
    assert "no 'wisper' here: there are whisper, whisper_transformers" in capsys.readouterr().err


def test_all_that_is_wrong_is_told_at_once(capsys):
    training = (
        f"--set max_epohc=1 --set optim=adamm {ROOT}/egs2/mini_debian/enh1/conf/finetune.yaml {CRITERION}"
    )
    words = ["--metrics", "x", "--recogniser", "a=b:c", "--upstream", "a=b:c", "--training", training]
    assert main(words) == 1
    said = capsys.readouterr().err
    for part in ("--metrics x", "--recognisers a=b:c", "--upstreams a=b:c", "max_epohc", "adamm"):
        assert part in said
    assert said.count("\n") == 5
