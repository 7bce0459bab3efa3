"""The ESPnet back end on a tiny model that is trained here until it knows its two tone sequences."""

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml

from espnet_posinv.asr.espnet import ESPnet
from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import read_scp

main = command("decode")

TOKENS = ["<blank>", "<unk>", "a", "b", "<space>", "<sos/eos>"]
# Of one length, as releases of ESPnet differ in what padding does to training; and with no letter doubled,
# as two equal tones on end differ from one in nothing but their length, which so small a model may not learn
TEXTS = ["ab a", "ba b"]
PITCH = {"a": 300, "b": 1200, " ": 0}
CONFIG = {
    "frontend_conf": {"fs": "16k", "n_fft": 400, "hop_length": 160, "n_mels": 20},
    "normalize": "utterance_mvn",
    "encoder": "transformer",
    "encoder_conf": {
        "output_size": 32,
        "attention_heads": 2,
        "linear_units": 64,
        "num_blocks": 1,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "attention_dropout_rate": 0.0,
    },
    "decoder": "transformer",
    "decoder_conf": {
        "attention_heads": 2,
        "linear_units": 64,
        "num_blocks": 1,
        "dropout_rate": 0.0,
        "positional_dropout_rate": 0.0,
        "self_attention_dropout_rate": 0.0,
        "src_attention_dropout_rate": 0.0,
    },
    "model_conf": {"ctc_weight": 0.5},
    "token_type": "char",
}


def sound(text, seed):
    """0.15 s of tone for each letter, with a little noise."""
    time = np.arange(2400) / 16000
    wav = np.concatenate([np.sin(2 * np.pi * PITCH[c] * time) for c in text])
    return (0.3 * wav + 0.01 * np.random.default_rng(seed).standard_normal(len(wav))).astype(np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a finished training: config.yaml and valid.acc.best.pth."""
    from espnet2.tasks.asr import ASRTask

    folder = tmp_path_factory.mktemp("exp") / "asr_tiny"
    folder.mkdir()
    parser = ASRTask.get_parser()
    args = parser.parse_args([])
    vars(args).update({**CONFIG, "token_list": TOKENS})
    torch.manual_seed(0)
    model = ASRTask.build_model(args).train()
    wavs = [torch.from_numpy(sound(text, 0)) for text in TEXTS]
    speech = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    ids = [torch.tensor([TOKENS.index({" ": "<space>"}.get(c, c)) for c in text]) for text in TEXTS]
    batch = {
        "speech": speech,
        "speech_lengths": torch.tensor([len(wav) for wav in wavs]),
        "text": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1),
        "text_lengths": torch.tensor([len(i) for i in ids]),
    }
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(150):
        loss = model(**batch)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1  # at 0.36 the decoder may still toss a coin for one letter
    torch.save(model.state_dict(), folder / "valid.acc.best.pth")
    (folder / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    return folder


def test_recognises_what_it_was_trained_on(trained):
    recogniser = ESPnet(str(trained), beam_size=3)
    assert [recogniser.transcribe(sound(text, 7)) for text in TEXTS] == TEXTS


def test_command(trained, tmp_path):
    for k, text in enumerate(TEXTS):
        sf.write(tmp_path / f"{k}.wav", sound(text, 7), 16000)
    (tmp_path / "wav.scp").write_text("".join(f"u{k} {tmp_path}/{k}.wav\n" for k in range(2)))
    out = tmp_path / "out"
    sets = ["--wav-scp", f"{tmp_path}/wav.scp", "--output-dir", f"{out}"]
    main(["--backend", "espnet", "--model", f"{trained},beam_size=2,ctc_weight=0.5", *sets])
    assert read_scp(out / "text") == {"u0": TEXTS[0], "u1": TEXTS[1]}
    settings = yaml.safe_load((out / "decode.json").read_text())["recogniser"]
    assert settings["model"] == "asr_tiny" and settings["beam_size"] == 2 and settings["ctc_weight"] == 0.5
    assert len(settings["model_sha256"]) == 64


def test_model_of_the_zoo_unpacked(trained, tmp_path):
    # Statistics are named relative to the archive's root, as ESPnet packs them
    deep = tmp_path / "exp/asr"
    deep.mkdir(parents=True)
    config = yaml.safe_load((trained / "config.yaml").read_text())
    np.savez(tmp_path / "exp/stats.npz", count=10, sum=np.zeros(20), sum_square=np.full(20, 10.0))
    config |= {"normalize": "global_mvn", "normalize_conf": {"stats_file": "exp/stats.npz"}}
    (deep / "config.yaml").write_text(yaml.safe_dump(config))
    state = torch.load(trained / "valid.acc.best.pth")
    state |= {"normalize.mean": torch.zeros(20), "normalize.std": torch.ones(20)}
    torch.save(state, deep / "model.pth")
    meta = {
        "files": {"asr_model_file": "exp/asr/model.pth"},
        "yaml_files": {"asr_train_config": "exp/asr/config.yaml"},
    }
    (tmp_path / "meta.yaml").write_text(yaml.safe_dump(meta))
    assert isinstance(ESPnet(str(tmp_path), beam_size=3).transcribe(sound("ab", 0)), str)
    (tmp_path / "exp/stats.npz").rename(tmp_path / "exp/other.npz")
    with pytest.raises(ValueError, match=r"config.yaml: names exp/stats.npz, which no folder above it has"):
        ESPnet(str(tmp_path), beam_size=4).transcribe(sound("ab", 0))


def test_errors(trained, tmp_path):
    with pytest.raises(
        ValueError, match=r"no ESPnet model: neither meta.yaml, nor config.yaml and valid.acc"
    ):
        ESPnet(str(tmp_path)).settings()
    with pytest.raises(ValueError, match=r"and other.pth in it; name another file with model_file="):
        ESPnet(str(trained), model_file="other.pth").settings()
    with pytest.raises(ValueError, match="no/such is no folder here"):
        ESPnet("no/such").transcribe(sound("a", 0))
    config = yaml.safe_load((trained / "config.yaml").read_text())
    config["frontend_conf"]["fs"] = "8k"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "valid.acc.best.pth").write_bytes((trained / "valid.acc.best.pth").read_bytes())
    with pytest.raises(ValueError, match="was trained at 8000 Hz, but the audio here has 16000 Hz"):
        ESPnet(str(tmp_path)).transcribe(sound("a", 0))


def test_weights_under_other_names_are_no_weights(trained, tmp_path):
    # As espnet 202611 renamed some, which 202511 then leaves at random
    state = torch.load(trained / "valid.acc.best.pth")
    name = next(key for key in state if key.startswith("ctc."))
    state["renamed"] = state.pop(name)
    torch.save(state, tmp_path / "valid.acc.best.pth")
    (tmp_path / "config.yaml").write_bytes((trained / "config.yaml").read_bytes())
    with pytest.raises(ValueError, match=rf"valid.acc.best.pth: no weights for {name} and 0 others"):
        ESPnet(str(tmp_path), beam_size=5).transcribe(sound("a", 0))
