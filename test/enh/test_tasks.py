"""Each of ESPnet's tasks that trains with enhancement criterions: lengths and ids reach the criterion."""

import importlib
import logging
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_posinv.enh.model import MODELS, PosinvEnhS2TModel, PosinvExtractionModel
from espnet_posinv.enh.task import TASKS, PosinvEnhS2TTask, PosinvExtractionTask

CONV = {"channel": 8, "kernel_size": 16, "stride": 8}
SMALL = {"bottleneck_dim": 8, "hidden_dim": 8, "skip_dim": 8}
ATTENTION = {"attention_heads": 2, "output_size": 8}
SPEEDS = {"speeds": [0.9, 1.1]}


def test_no_task_with_enhancement_criterions_is_left_out():
    """A newer ESPnet may have another one: then it belongs into TASKS."""
    folder = Path(importlib.import_module("espnet2.tasks").__path__[0])
    taking = {p.stem for p in folder.glob("*.py") if re.search("--(enh_)?criterions", p.read_text())}
    assert {f"espnet2.tasks.{name}" for name in taking} == {task.__module__ for task in TASKS}
    assert {ours.criterions_key for ours in TASKS.values()} == {"criterions", "enh_criterions"}


@pytest.fixture(scope="module")
def extraction(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("tse") / "tse.yaml"
    values = yaml.safe_load(config(path, {"ssl_softdtw": SPEEDS}, max_epoch=1).read_text())
    del values["separator"], values["separator_conf"]
    extractor = {
        "extractor": "td_speakerbeam",
        "extractor_conf": {"layer": 1, "stack": 1, "i_adapt_layer": 0, "adapt_enroll_dim": 8, **SMALL},
    }
    coders = {"encoder": "conv", "encoder_conf": CONV, "decoder": "conv", "decoder_conf": CONV}
    path.write_text(yaml.safe_dump({**values, **coders, **extractor, "model_conf": {"num_spk": 1}}))
    return path


@pytest.fixture(scope="module")
def diarisation(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("diar") / "diar.yaml"
    values = yaml.safe_load(config(path, {"ssl_softdtw": SPEEDS}, max_epoch=1).read_text())
    del values["separator"], values["separator_conf"], values["encoder"], values["decoder"]
    tcn = {"layer": 1, "stack": 1, "bottleneck_dim": 8, "hidden_dim": 8, "kernel": 3}
    joint = {
        "enh_encoder": "conv",
        "enh_encoder_conf": CONV,
        "enh_decoder": "conv",
        "enh_decoder_conf": CONV,
        "enh_separator": "tcn_nomask",
        "enh_separator_conf": tcn,
        "enh_mask_module": "multi_mask",
        "enh_mask_module_conf": {"max_num_spk": 2, "bottleneck_dim": 8},
        "enh_criterions": values.pop("criterions"),
        "diar_num_spk": 1,
        "diar_encoder": "transformer",
        "diar_encoder_conf": {"input_layer": "linear", "num_blocks": 1, "linear_units": 8, **ATTENTION},
        "diar_decoder": "linear",
        "label_aggregator": "label_aggregator",
        "label_aggregator_conf": {"win_length": 256, "hop_length": 8},
        "subtask_series": ["enh", "diar"],
        "diar_input_size": 8,
    }
    path.write_text(yaml.safe_dump({**values, **joint}))
    return path


def build(task, path, folder):
    torch.manual_seed(0)
    return task.build_model(
        task.get_parser().parse_args(["--config", str(path), "--output_dir", str(folder)])
    )


def draws(model, criterion, call):
    """Speeds that two utterances draw, by their ids; the frames must be those of true lengths."""
    out = {}
    for ids in (("a", "b"), ("b", "a"), ("c", "d"), ("e", "f"), ("g", "h")):
        torch.manual_seed(3)
        call(list(ids))
        assert criterion.stats["ssl_softdtw_frames"].tolist() == [27, 21]
        out[ids] = criterion.stats["ssl_softdtw_speed"].tolist()
    assert out["a", "b"] == out["b", "a"][::-1] and len({tuple(d) for d in out.values()}) > 1


def test_target_speaker_extraction(extraction, tmp_path, caplog):
    model = build(PosinvExtractionTask, extraction, tmp_path)
    assert isinstance(model, PosinvExtractionModel)
    mix, ref, enrolled = 0.1 * torch.randn(3, 2, 9000)
    lengths = torch.tensor([9000, 7000])
    known = {"speech_ref1": ref, "enroll_ref1": enrolled, "enroll_ref1_lengths": lengths}
    draws(model, model.loss_wrappers[0].criterion, lambda ids: model(mix, lengths, utt_id=ids, **known))
    assert "padding counts as speech" not in caplog.text


def test_extraction_trains_through_the_entry(extraction, corpus, data, tmp_path, history, caplog):
    """Once the criterion said that it was not run through the entry, to those who did."""
    from espnet_posinv.enh.register import install

    tool = importlib.import_module("espnet2.bin.enh_tse_train")
    install(tool)
    options = list(data)
    for part in ("train", "valid"):
        options += [f"--{part}_data_path_and_name_and_type", f"{corpus}/{part}/spk1.scp,enroll_ref1,text"]
    caplog.set_level(logging.WARNING)
    tool.main(["--config", str(extraction), *options, "--output_dir", str(tmp_path / "exp")])
    stats = history(tmp_path / "exp")[1, "valid"]
    assert np.isfinite(stats["ssl_softdtw"]) and "padding counts as speech" not in caplog.text
    kept = yaml.safe_load((tmp_path / "exp/config.yaml").read_text())
    assert kept["criterions"] == [] and kept["posinv"]["criterions"][0]["name"] == "ssl_softdtw"


def test_enhancement_with_diarisation(diarisation, tmp_path, caplog):
    model = build(PosinvEnhS2TTask, diarisation, tmp_path)
    assert isinstance(model, PosinvEnhS2TModel)
    mix, ref = 0.1 * torch.randn(2, 2, 9000)
    lengths = torch.tensor([9000, 7000])
    labels = {"text": torch.ones(2, 9000, 1), "text_lengths": lengths}
    draws(
        model,
        model.enh_model.loss_wrappers[0].criterion,
        lambda ids: model(mix, lengths, speech_ref1=ref, utt_id=ids, **labels),
    )
    assert "padding counts as speech" not in caplog.text


def test_models_have_all_that_espnets_have():
    for theirs, ours in MODELS.items():
        assert issubclass(ours, theirs) and ours.__init__ is theirs.__init__


def test_an_extraction_at_another_rate_is_refused(extraction, data, corpus, tmp_path):
    lines = []
    for line in (corpus / "train/spk1.scp").read_text().splitlines():
        utterance, path = line.split()
        wav, _ = soundfile.read(path)
        soundfile.write(tmp_path / f"{utterance}.wav", wav, 8000)
        lines.append(f"{utterance} {tmp_path}/{utterance}.wav\n")
    (tmp_path / "spk1.scp").write_text("".join(lines))
    options = [o.replace(f"{corpus}/train/spk1.scp", f"{tmp_path}/spk1.scp") for o in data]
    for part in ("train", "valid"):
        options += [f"--{part}_data_path_and_name_and_type", f"{corpus}/{part}/spk1.scp,enroll_ref1,text"]
    with pytest.raises(ValueError, match=r"spk1\.scp: train0 has 8000 Hz, but ssl_softdtw"):
        PosinvExtractionTask.main(
            cmd=["--config", str(extraction), *options, "--output_dir", str(tmp_path / "x")]
        )
