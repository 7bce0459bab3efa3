import json

import numpy as np
import pytest
import soundfile as sf
import torch

from espnet_posinv.cli import command
from espnet_posinv.scoring.metrics import Undefined
from espnet_posinv.scoring.ssl_similarity import SpeechBERTScore

main = command("score", "signal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random HuBERT of two layers, and 0.6 s of clean and noisy sound as wav files."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ssl")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    positions = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    HubertModel(HubertConfig(**sizes, **positions, conv_dim=(16,) * 7)).save_pretrained(folder / "model")
    generator = np.random.default_rng(0)
    clean = 0.1 * np.sin(np.cumsum(np.linspace(0.05, 0.6, 9600)))
    sf.write(folder / "clean.wav", clean, 16000, subtype="FLOAT")
    noisy = clean + 0.1 * generator.standard_normal(9600)
    sf.write(folder / "noisy.wav", noisy, 16000, subtype="FLOAT")
    return folder


def read(folder, name):
    return sf.read(folder / f"{name}.wav")[0]


def test_equals_the_definition_written_out(folder):
    from transformers import HubertModel

    clean, noisy = (read(folder, name) for name in ("clean", "noisy"))
    model = HubertModel.from_pretrained(folder / "model").eval()
    with torch.no_grad():
        x, y = (
            model(torch.tensor(w)[None].float()).last_hidden_state[0].double().numpy() for w in (clean, noisy)
        )
    total = 0.0
    for frame in y:
        total += max(frame @ other / np.linalg.norm(frame) / np.linalg.norm(other) for other in x)
    found = SpeechBERTScore(f"transformers:{folder}/model")(clean, noisy)["speech_bert_score"]
    assert found == pytest.approx(total / len(y), abs=1e-4)
    assert SpeechBERTScore(f"transformers:{folder}/model")(clean, clean)[
        "speech_bert_score"
    ] == pytest.approx(1)


def test_command_and_undefined(folder, capsys):
    for name in ("clean", "noisy"):
        sf.write(folder / f"{name}.short.wav", np.full(300, 0.1), 16000)
        entries = {"a": folder / f"{name}.wav", "b": folder / f"{name}.short.wav"}
        (folder / f"{name}.scp").write_text("".join(f"{k} {v}\n" for k, v in entries.items()))
    files = [
        "--ref-scp",
        f"{folder}/clean.scp",
        "--inf-scp",
        f"{folder}/noisy.scp",
        "--output",
        f"{folder}/s.json",
    ]
    main([*files, "--metrics", "none", "--ssl", f"transformers:{folder}/model", "--ssl-layer", "1"])
    result = json.loads((folder / "s.json").read_text())
    assert result["total"]["speech_bert_score"]["count"] == 1
    assert result["utterances"]["b"]["undefined"]["speech_bert_score"].startswith("shorter than 400 samples")
    assert 0 < result["utterances"]["a"]["speech_bert_score"] < 1
    assert "layer=1" in result["further"]["speech_bert_score"]
    assert "speech_bert_score 0." in capsys.readouterr().out
    with pytest.raises(Undefined):
        SpeechBERTScore(f"transformers:{folder}/model")(np.ones(300), np.ones(9600))
    with pytest.raises(SystemExit, match=r"posinv score signal: .*upstream 'nothing': write LOADER:NAME"):
        main([*files, "--metrics", "none", "--ssl", "nothing"])
