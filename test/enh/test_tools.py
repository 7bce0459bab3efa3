"""ESPnet's tools through our entry, in the order in which its enhancement template calls them."""

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_posinv.enh.model import PosinvEnhS2TModel
from espnet_posinv.enh.register import install
from espnet_posinv.enh.task import PosinvEnhS2TTask

ROOT = Path(__file__).parents[2]
ENTRY = [sys.executable, "-m", "espnet_posinv", "-m"]


def tool(name, *options):
    """What ``python -m espnet_posinv -m espnet2.bin.NAME OPTIONS`` does, in this process."""
    module = importlib.import_module(f"espnet2.bin.{name}")
    install(module)
    module.main([str(o) for o in options])


def entry(*command, **options):
    return subprocess.run([*ENTRY, *map(str, command)], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def recipe(config, corpus, tmp_path_factory):
    """Stages 5 and 6: statistics, then training through espnet2.bin.launch and a run.pl."""
    root = tmp_path_factory.mktemp("recipe")
    path = config(root / "train.yaml", {"ssl_softdtw": {}, "ssl_mse": {}}, max_epoch=1)
    names = []
    for part in ("train", "valid"):
        for scp, key in (("wav", "speech_mix"), ("spk1", "speech_ref1")):
            names += [f"--{part}_data_path_and_name_and_type", f"{corpus}/{part}/{scp}.scp,{key},sound"]
    keys = [f"--{part}_shape_file={corpus}/{part}/wav.scp" for part in ("train", "valid")]
    collect = ["--collect_stats", "true", "--use_preprocessor", "true"][:2]
    tool(
        "enh_train", *collect, *names, *keys, "--output_dir", root / "stats.1", "--config", path, "--ngpu", 0
    )
    tool(
        "aggregate_stats_dirs",
        "--input_dir",
        root / "stats.1",
        "--output_dir",
        root / "stats",
        "--skip_sum_stats",
    )
    shapes = []
    for part in ("train", "valid"):
        for key in ("speech_mix", "speech_ref1"):
            shapes += [f"--{part}_shape_file", root / f"stats/{part}/{key}_shape"]
    (root / "run.pl").write_text(f'#!/bin/sh\nexec {ROOT}/utils/run.pl "$@"\n')
    (root / "run.pl").chmod(0o755)
    run = entry(
        *[
            "espnet2.bin.launch",
            "--cmd",
            f"{root}/run.pl --name exp/train.log",
            "--log",
            root / "exp/train.log",
        ],
        *["--ngpu", 0, "--num_nodes", 1, "--init_file_prefix", root / "exp/.dist_init_"],
        *["--multiprocessing_distributed", "true", "--", *ENTRY, "espnet2.bin.enh_train", *names, *shapes],
        *["--fold_length", 80000, "--fold_length", 80000, "--resume", "true", "--output_dir", root / "exp"],
        *["--config", path],
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return root


def test_the_template_trains_enhances_and_scores(recipe, corpus):
    valid = f"{corpus}/valid"
    assert (recipe / "exp/valid.loss.best.pth").exists()
    written = {}
    full = yaml.safe_load((recipe / "exp/config.yaml").read_text())
    assert full["criterions"] == [] and [c["name"] for c in full["posinv"]["criterions"]] == [
        "ssl_softdtw",
        "ssl_mse",
    ]
    stripped = {k: v for k, v in full.items() if k != "posinv"}
    (recipe / "exp/stripped.yaml").write_text(yaml.safe_dump(stripped))
    for name in ("config", "stripped"):
        tool(
            *["enh_inference", "--ngpu", 0, "--fs", "16k", "--output_dir", recipe / name],
            *["--data_path_and_name_and_type", f"{valid}/wav.scp,speech_mix,sound"],
            *["--key_file", f"{valid}/wav.scp", "--train_config", recipe / f"exp/{name}.yaml"],
            *["--model_file", recipe / "exp/valid.loss.best.pth"],
        )
        paths = dict(line.split() for line in (recipe / name / "spk1.scp").read_text().splitlines())
        written[name] = {key: soundfile.read(path) for key, path in paths.items()}
    noisy = dict(line.split() for line in Path(f"{valid}/wav.scp").read_text().splitlines())
    assert written["config"].keys() == noisy.keys()
    for key, (wav, rate) in written["config"].items():
        assert rate == 16000 and len(wav) == soundfile.info(noisy[key]).frames and np.abs(wav).max() > 0
        np.testing.assert_array_equal(wav, written["stripped"][key][0])
    tool(
        *["enh_scoring", "--key_file", f"{valid}/wav.scp", "--output_dir", recipe / "scores"],
        *["--ref_scp", f"{valid}/spk1.scp", "--inf_scp", recipe / "config/spk1.scp", "--ref_channel", 0],
    )
    assert len((recipe / "scores/STOI_spk1").read_text().splitlines()) == 3


@pytest.fixture(scope="module")
def joint(config, tmp_path_factory):
    """A configuration of enh_s2t_train: enhancement with our criterion, and a small CTC recogniser."""
    root = tmp_path_factory.mktemp("joint")
    enh = yaml.safe_load(
        config(root / "enh.yaml", {"ssl_softdtw": {"speeds": [0.9, 1.1]}}, max_epoch=1).read_text()
    )
    prefixed = {
        f"enh_{k}": enh.pop(k) for k in ("encoder", "decoder", "separator", "separator_conf", "criterions")
    }
    asr = {
        "token_list": ["<blank>", "<unk>", "<space>", "a", "b", "<sos/eos>"],
        "token_type": "char",
        "use_preprocessor": True,
        "text_name": ["text_spk1"],
        "frontend": "default",
        "frontend_conf": {"fs": 16000, "n_fft": 256, "hop_length": 128, "n_mels": 20},
        "normalize": "utterance_mvn",
        "asr_encoder": "rnn",
        "asr_encoder_conf": {"hidden_size": 8, "num_layers": 1, "output_size": 8},
        "asr_decoder": "rnn",
        "asr_model_conf": {"ctc_weight": 1.0},
        "subtask_series": ["enh", "asr"],
    }
    (root / "joint.yaml").write_text(yaml.safe_dump({**enh, **prefixed, **asr}))
    return root / "joint.yaml"


def test_joint_training_with_a_recogniser(joint, corpus, tmp_path, history, caplog):
    options = []
    for part in ("train", "valid"):
        for file, key, kind in (
            ("wav.scp", "speech", "sound"),
            ("spk1.scp", "speech_ref1", "sound"),
            ("text", "text_spk1", "text"),
        ):
            options += [f"--{part}_data_path_and_name_and_type", f"{corpus}/{part}/{file},{key},{kind}"]
        lines = [line.split() for line in (corpus / part / "wav.scp").read_text().splitlines()]
        shape = tmp_path / f"{part}_shape"
        shape.write_text("".join(f"{u} {soundfile.info(p).frames}\n" for u, p in lines))
        options += [f"--{part}_shape_file", shape]
    options += ["--fold_length", 80000, "--ngpu", 0, "--output_dir", tmp_path / "exp"]
    tool("enh_s2t_train", "--config", joint, *options)
    stats = history(tmp_path / "exp")[1, "valid"]
    assert np.isfinite(stats["loss_enh"]) and np.isfinite(stats["loss_asr"])
    assert "padding counts as speech" not in caplog.text
    state = torch.load(tmp_path / "exp/1epoch.pth", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"enh_model", "s2t_model"}


def test_lengths_and_ids_reach_the_joint_models_criterion(joint, tmp_path):
    args = PosinvEnhS2TTask.get_parser().parse_args(["--config", str(joint), "--output_dir", str(tmp_path)])
    torch.manual_seed(0)
    model = PosinvEnhS2TTask.build_model(args)
    assert isinstance(model, PosinvEnhS2TModel)
    lengths = torch.tensor([9000, 7000])
    mix, ref = 0.1 * torch.randn(2, 2, 9000)
    text = {"text_spk1": torch.tensor([[3, 4], [4, 3]]), "text_spk1_lengths": torch.tensor([2, 2])}

    def speeds(ids):
        torch.manual_seed(3)
        model(mix, lengths, speech_ref1=ref, utt_id=ids, **text)
        criterion = model.enh_model.loss_wrappers[0].criterion
        assert criterion.stats["ssl_softdtw_frames"].tolist() == [27, 21]
        return criterion.stats["ssl_softdtw_speed"].tolist()

    draws = {ids: speeds(list(ids)) for ids in (("a", "b"), ("b", "a"), ("c", "d"), ("e", "f"))}
    assert draws["a", "b"] == draws["b", "a"][::-1]
    assert len({tuple(d) for d in draws.values()}) > 1


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["-c", "print()"], "there is no command '-c'"),
        (["-m"], "usage: python -m espnet_posinv -m"),
        (["-m", "espnet2.bin.enh_trian"], "there is no module espnet2.bin.enh_trian"),
        (["-m", "espnet2.bin"], "espnet2.bin has no main() to call"),
    ],
)
def test_what_the_entry_refuses(command, message):
    run = subprocess.run([sys.executable, "-m", "espnet_posinv", *command], capture_output=True, text=True)
    assert run.returncode == 1 and message in run.stderr and "Traceback" not in run.stderr


def test_tools_without_tasks_start_at_once_and_keep_their_arguments():
    code = "import sys, espnet_posinv.__main__ as m; m.main(); assert 'espnet2.tasks.enh' not in sys.modules"
    run = subprocess.run(
        [sys.executable, "-c", code, "-m", "espnet2.bin.aggregate_stats_dirs", "--output_dir", "x"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert run.returncode != 0 and "input_dir" in run.stderr, shlex.join(run.args)


def test_importing_the_package_costs_nothing():
    heavy = ("torch", "espnet2", "numpy")
    code = f"import sys, espnet_posinv; sys.exit(any(m.split('.')[0] in {heavy} for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
