"""The unchanged recipe, from stage 1 to its report, on a small corpus in LibriSpeech's and DEMAND's layout.

Small models, few updates: what is proved is that the stages fit together, from folders, tarballs and zips to
word error rates by condition. Fetches a few recordings and a recogniser, as the mini recipe does.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import torch
import transformers
import yaml

from espnet_posinv.corpora.demand import INDOOR, OUTDOOR
from espnet_posinv.corpora.models import whisper
from espnet_posinv.enh.demucs import DemucsSeparator
from espnet_posinv.enh.demucs_import import their_name
from espnet_posinv.enh.model_folder import as_trained
from espnet_posinv.kaldi.check import check_data_dir
from espnet_posinv.kaldi.scp import read_scp
from espnet_posinv.text.normalize import spell

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs2/librispeech_demand/enh1"
DOWNLOADS = ROOT / "egs2/mini_debian/downloads"
FEW = "--set separator_conf.hidden=2 --set max_epoch=1 --set num_iters_per_epoch=2 --set num_workers=0"
SETS = ("test_clean", "test_clean_seen", "test_clean_unseen")
TUNED = "ssl_softdtw_mini_seed0"
# What goes to a cluster: mixing, formatting, training, enhancement, recognition, scoring, the probe.
SENT = {"mix", "format_wav_scp", "train", "enh_inference", "asr_decode", "signal", "probe"}
# Of the sweep: sizes of its SSL models, and the hidden state of each that is compared.
TINY = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (24,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
LAYERS = {"hubert": 2, "wav2vec2": -1, "wavlm": 0}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with LibriSpeech and DEMAND in small."""
    folder = tmp_path_factory.mktemp("corpus")
    spec = importlib.util.spec_from_file_location("small_corpus", Path(__file__).with_name("small_corpus.py"))
    small_corpus = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(small_corpus)
    small_corpus.make(folder, DOWNLOADS)
    texts = [path.read_text() for path in folder.rglob("*.trans.txt")]
    with tarfile.open(folder / "test-clean.tar.gz") as tar:
        texts += [tar.extractfile(m).read().decode() for m in tar if m.name.endswith(".trans.txt")]
    lines = (line.split(maxsplit=1)[1] for text in texts for line in text.splitlines())
    words = sorted({word for line in lines for word in spell(line, "en").split()})
    (folder / "lexicon.txt").write_text("".join(f"{word} {' '.join(word)}\n" for word in words))  # letters
    return folder


@pytest.fixture(scope="module", params=["local", "slurm"])
def recipe(request, corpus, tmp_path_factory):
    """A function that runs the recipe's own files in a folder, on this machine or on a real Slurm."""
    folder = tmp_path_factory.mktemp(request.param) / "enh1"
    folder.mkdir()
    for name in ("path.sh", "cmd.sh", "db.sh", "conf", "local", "utils"):
        (folder / name).symlink_to(RECIPE / name)
    for name in ("run.sh", "enh.sh"):  # copies: a shell reads on in a file that someone edits meanwhile
        shutil.copy(RECIPE / name, folder)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "WHISPER": str(whisper("tiny.en", DOWNLOADS))}
    env |= {"LIBRISPEECH": str(corpus), "DEMAND": str(corpus), "LEXICON": str(corpus / "lexicon.txt")}
    if request.param == "slurm":
        env |= request.getfixturevalue("slurm_engine")

    def run(*more, script=("run.sh",), **variables):
        command = [folder / script[0], *script[1:], "--nj", "2", "--ngpu", "0", "--train_threads", "1"]
        command += ["--cmd_backend", request.param, "--criterion", "ssl_softdtw"]
        command += ["--se_args", f"{FEW} --set batch_size=2 --set chunk_length=16000"]
        command += ["--finetune_args", f"{FEW} --set batch_bins=160000"]
        command += ["--upstreams", f"mini=transformers:{ROOT}/egs2/mini_debian/ssl1/mini_hubert"]
        command += ["--metrics", "si_sdr", "--asr_args", "--window 15"]
        command += ["--head_args", "--steps 4 --eval-every 2 --hidden 8 --batch-seconds 20"]
        command += ["--probe_args", "--utterances 8 --seconds 1.5 --criterions", *more]
        done = subprocess.run(command, capture_output=True, text=True, env=env | variables)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run.folder, run.launcher = folder, request.param
    return run


@pytest.fixture(scope="module")
def done(recipe):
    recipe()
    return recipe.folder


def test_work_was_done_where_it_was_sent(done, recipe):
    jobs = [path for path in done.rglob("q/*/jobs") if path.read_text().startswith("Slurm ")]
    kinds = {path.parent.name.partition(".")[0] for path in jobs}
    assert kinds == (SENT if recipe.launcher == "slurm" else set())


def test_data_directories(done, corpus):
    for name in ("train_clean_100", "dev", *SETS):
        assert not list(check_data_dir(done / "data" / name)), name
    tables = {name: read_scp(done / "data" / name / "utt2noise") for name in ("dev", *SETS)}
    assert (
        tables["test_clean"].keys() == tables["test_clean_seen"].keys() == tables["test_clean_unseen"].keys()
    )
    assert set(tables["dev"].values()) | set(tables["test_clean_seen"].values()) <= set(INDOOR)
    assert set(tables["test_clean_unseen"].values()) <= set(OUTDOOR)
    for name in SETS[1:]:
        assert set(read_scp(done / f"dump/raw/{name}/utt2snr").values()) <= {"5", "10", "20"}
    # the corpus's own files are used where they are
    wavs = read_scp(done / "dump/raw/train_clean_100/wav.scp").values()
    assert all(Path(wav).is_relative_to(corpus) for wav in wavs)


def test_trainings_used_noise_on_the_fly_and_the_start_model(done):
    train, tuned = (
        as_trained(yaml.safe_load((done / f"exp/{name}/config.yaml").read_text()))
        for name in ("train_demucs64", TUNED)
    )
    for config in (train, tuned):
        assert config["preprocessor_conf"] == {"noise_scp": "data/noise/train.scp", "snrs": [5, 10, 20]}
    assert tuned["init_param"] == ["exp/train_demucs64/valid.loss.best.pth"]
    assert tuned["optim_conf"]["lr"] == 2e-5 and tuned["iterator_type"] == "sequence"
    assert tuned["criterions"][0]["conf"]["layers"] == -1
    packed = yaml.safe_load((done / f"exp/packed/{TUNED}/config.yaml").read_text())
    assert not packed.get("preprocessor") and not packed["criterions"]


UNITS = {"whisper-base": "words", "mini_characters_blstm": "words", "mini_phones_linear": "phones"}


def test_scores_and_report(done):
    for system in ("noisy", "train_demucs64", TUNED):
        for name in SETS:
            for recogniser, unit in UNITS.items():
                score = json.loads((done / f"exp/scores/{recogniser}/{system}/{name}.json").read_text())
                assert score["total"]["utterances"] == 8 and score["unit"] == unit
    report = (done / "exp/RESULTS.md").read_text()
    recognisers = re.findall(r"^### (\S+), (?:WER|PER)$", report, re.MULTILINE)
    assert recognisers == ["mini_phones_linear", "mini_characters_blstm", "whisper-base"]
    assert "## LPS" in report
    assert "test_clean_seen by noise" in report and "test_clean_unseen by SNR" in report
    assert re.search(r"^\| system(?: \| (?:5|10|20) dB \(\d+ words\))+ \|$", report, re.MULTILINE)
    assert f"| {TUNED} |" in report and "| train_demucs64 |" in report
    assert "## Position probe: HuBERT" in report and (done / "exp/images/mini_probe.png").exists()


def test_again_nothing_is_done(done, recipe):
    out = recipe()
    assert out.count("done, skipped") == 10 and "=== stage" not in out


def wer_rows(report):
    """System: its column of test_clean, from the table of word error rates."""
    table = report.partition("### whisper-base")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([^|]+) \| \d+ \| ([\d.]+) \[", table, re.MULTILINE))


@pytest.mark.parametrize("recipe", ["local"], indirect=True, scope="module")
def test_sweep_compares_ssl_models_and_layers_in_one_table(done, recipe, tmp_path):
    for family in ("hubert", "wav2vec2", "wavlm"):
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(family, **TINY)
        transformers.AutoModel.from_config(config).save_pretrained(tmp_path / family)
    lines = [f"{family} transformers:{tmp_path}/{family} {layer}\n" for family, layer in LAYERS.items()]
    (tmp_path / "list").write_text("".join(lines))
    out = recipe(script=("local/sweep_ssl.sh", "--list", str(tmp_path / "list")))
    assert "wavlm_layer0: WavLM 3 x 48 (self-supervised), compared at 0\n" in out.partition("=== stage 5")[0]
    for family, layer in LAYERS.items():
        config = yaml.safe_load(
            (done / f"exp/ssl_softdtw_{family}_layer{layer}_seed0/config.yaml").read_text()
        )
        assert config["criterions"][0]["conf"]["layers"] == layer
    report = (done / "exp/RESULTS.md").read_text()
    swept = {f"ssl_softdtw_{family}_layer{layer}" for family, layer in LAYERS.items()}
    assert {"noisy", "train_demucs64", *swept} <= wer_rows(report).keys()


@pytest.mark.parametrize("recipe", ["local"], indirect=True, scope="module")
def test_fine_tuning_starts_from_a_checkpoint_of_denoiser(done, recipe, tmp_path):
    torch.manual_seed(0)
    weights = DemucsSeparator(1, 48).state_dict()
    torch.save({their_name(name): value for name, value in weights.items()}, tmp_path / "dns48.th")
    few = FEW.replace("--set separator_conf.hidden=2 ", "") + " --set batch_bins=160000"
    folder = done / "exp_denoiser"
    paths = ["--expdir", folder.name, "--results", f"{folder.name}/RESULTS.md"]
    recipe(
        *("--model", "demucs48", "--finetune_args", few, *paths, "--probe_args", "none"),
        DENOISER=str(tmp_path / "dns48.th"),
    )
    start, tuned = (
        torch.load(file, weights_only=True)
        for file in (folder / "demucs/model.pth", folder / TUNED / "valid.loss.best.pth")
    )
    assert start.keys() == tuned.keys() and any(not torch.equal(start[k], tuned[k]) for k in start)
    # two updates of 2e-5 each: it is the imported model, a little further
    assert all(torch.allclose(start[k], tuned[k], atol=1e-3) for k in start)
    assert {"noisy", "demucs", TUNED.removesuffix("_seed0")} == wer_rows(
        (folder / "RESULTS.md").read_text()
    ).keys()
