"""A corpus of noisy tones, a tiny encoder, and a configuration that trains in seconds."""

import numpy as np
import pytest
import soundfile
import torch
import yaml


@pytest.fixture(scope="session")
def hubert(random_hubert):
    return random_hubert(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Folders train (8 utterances) and valid (3) with wav.scp, spk1.scp, text and tempo.scp."""
    root = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    for name, count in (("train", 8), ("valid", 3)):
        folder = root / name
        folder.mkdir()
        lines = {"wav": [], "spk1": [], "tempo": []}
        for i in range(count):
            n = int(rng.integers(6000, 11000))
            clean = 0.2 * np.sin(2 * np.pi * rng.uniform(200, 2000) * np.arange(n) / 16000) * np.hanning(n)
            signals = {
                "wav": clean + 0.05 * rng.standard_normal(n),
                "spk1": clean,
                "tempo": clean[: int(0.9 * n)],
            }
            for key, signal in signals.items():
                path = folder / f"{name}{i}_{key}.wav"
                soundfile.write(path, signal, 16000)
                lines[key].append(f"{name}{i} {path}\n")
        for key, text in lines.items():
            (folder / f"{key}.scp").write_text("".join(text))
        (folder / "text").write_text("".join(f"{name}{i} a b\n" for i in range(count)))
    return root


@pytest.fixture(scope="session")
def config(hubert):
    """config(path, criterions, **changes) writes a configuration of enh_train; criterions: {name: conf}."""

    def write(path, criterions, **changes):
        values = {
            "encoder": "same",
            "decoder": "same",
            "separator": "nsnet2",
            "separator_conf": {"gru_size": 12, "linear_size": 12},
            "criterions": [
                {
                    "name": name,
                    "conf": {"upstream": hubert, **conf} if name.startswith("ssl_") else conf,
                    "wrapper": "fixed_order",
                    "wrapper_conf": {"weight": 1.0},
                }
                for name, conf in criterions.items()
            ],
            "batch_type": "folded",
            "batch_size": 4,
            "max_epoch": 2,
            "optim": "adam",
            "optim_conf": {"lr": 0.002},
            "num_workers": 0,
            "num_att_plot": 0,
            "use_tensorboard": False,
            "keep_nbest_models": 9,
            "best_model_criterion": [["valid", "loss", "min"]],
            **changes,
        }
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture(scope="session")
def data(corpus):
    """Command-line options that name the data and its lengths."""
    out = []
    for name in ("train", "valid"):
        for scp, key in (("wav", "speech_mix"), ("spk1", "speech_ref1")):
            out += [f"--{name}_data_path_and_name_and_type", f"{corpus}/{name}/{scp}.scp,{key},sound"]
        shapes = corpus / name / "shape"
        if not shapes.exists():
            lines = (corpus / name / "wav.scp").read_text().split("\n")[:-1]
            shapes.write_text(
                "".join(f"{u} {soundfile.info(p).frames}\n" for u, p in (line.split() for line in lines))
            )
        out += [f"--{name}_shape_file", str(shapes)]
    return [*out, "--fold_length", "80000", "--ngpu", "0", "--seed", "5"]


@pytest.fixture(scope="session")
def history():
    """history(folder) -> {(epoch, "train" or "valid"): {statistic: value}} of a training."""

    def read(folder):
        reporter = torch.load(folder / "checkpoint.pth", weights_only=False)["reporter"]
        skip = ("time", "optim0_lr0", "clip", "total_count", "iter_time", "forward_time", "backward_time")
        return {
            (epoch, part): {k: v for k, v in values.items() if k not in skip and not k.endswith("_time")}
            for epoch, parts in reporter["stats"].items()
            for part, values in parts.items()
        }

    return read
