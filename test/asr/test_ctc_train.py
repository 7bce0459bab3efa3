"""Training of a CTC head: on real prompts with the mini HuBERT, and on tones with a tiny random model."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from espnet_posinv import cli
from espnet_posinv.asr import ctc_train
from espnet_posinv.asr.ctc_data import Features, Utterance, batches, read_set
from espnet_posinv.asr.ctc_head import Head, hidden_states, load, with_weights
from espnet_posinv.asr.ssl_ctc import SSLCTC
from espnet_posinv.asr.units import Units
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.ssl import load_encoder

main = cli.command("train-ctc")

REPO = Path(__file__).parents[2]
DOWNLOADS = Path(os.environ.get("POSINV_DOWNLOADS", REPO / "egs2/mini_debian/downloads"))
MINI_HUBERT = f"transformers:{REPO}/egs2/mini_debian/ssl1/mini_hubert"
PROMPTS = {
    "agent-pass": "please enter your password followed by the pound key",
    "auth-incorrect": "password incorrect please enter your password followed by the pound key",
    "goodbye": "goodbye",
    "hello": "hello",
}
LEXICON = """please P L IY Z
enter EH N T ER
your Y ER
password P AE S W ER D
followed F AA L OW D
by B AY
the DH AH
pound P AW N D
key K IY
incorrect IH N K ER EH K T
goodbye G UH D B AY
hello HH AH L OW
"""


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """Folder with wav.scp and text of four English prompts, recorded in a studio."""
    from espnet_posinv.corpora.audio import read_audio

    sounds = next(iter(DOWNLOADS.rglob("en_US_f_Allison")), None)
    if sounds is None:
        pytest.skip(f"no English prompts under {DOWNLOADS}: stage 1 of mini_debian fetches them")
    return write(
        tmp_path_factory.mktemp("prompts"),
        {name: (read_audio(sounds / f"{name}.g722"), text) for name, text in PROMPTS.items()},
    )


def write(folder, items):
    folder.mkdir(exist_ok=True)
    for name, (wav, _) in items.items():
        sf.write(folder / f"{name}.wav", wav, 16000)
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in sorted(items)))
    (folder / "text").write_text("".join(f"{name} {items[name][1]}\n" for name in sorted(items)))
    return folder


def command(data, output, *more):
    sets = [
        word
        for part in ("train", "valid")
        for word in (f"--{part}-scp", f"{data}/wav.scp", f"--{part}-text", f"{data}/text")
    ]
    return main([*sets, "--output-dir", str(output), "--dropout", "0", *more])


@pytest.fixture(scope="module")
def trained(prompts, tmp_path_factory):
    """Folder of a recogniser that was trained on the prompts."""
    folder = tmp_path_factory.mktemp("trained") / "ctc"
    command(
        *(prompts, folder, "--upstream", MINI_HUBERT, "--hidden", "96", "--depth", "1"),
        *("--steps", "150", "--eval-every", "50", "--rate", "1e-2", "--batch-seconds", "30"),
    )
    return folder


def recognise(prompts, model, output):
    """Score of a recogniser on the prompts, as the two commands give it."""
    sets = ["--wav-scp", f"{prompts}/wav.scp", "--output-dir", f"{output}"]
    cli.command("decode")(["--backend", "ssl_ctc", "--model", model, *sets])
    files = ["--ref", f"{prompts}/text", "--hyp", f"{output}/text", "--output", f"{output}/score.json"]
    cli.command("score", "words")(files)
    return json.loads((output / "score.json").read_text())


def test_prompts_are_learnt_and_recognised(prompts, trained, tmp_path):
    score = recognise(prompts, f"{trained}", tmp_path / "greedy")
    assert score["total"]["N"] == 22
    assert score["total"]["wer"] < 25
    assert score["recogniser"]["upstream"] == MINI_HUBERT
    assert score["recogniser"]["encoder"].startswith("HuBERT 6 x 256")
    log = [json.loads(line) for line in (trained / "train.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [50, 100, 150]
    assert log[-1]["valid"] < log[0]["valid"]


def test_language_model_by_command(prompts, trained, tmp_path):
    pytest.importorskip("flashlight.lib.text", reason="flashlight-text has no wheel for this Python")
    greedy = recognise(prompts, f"{trained}", tmp_path / "greedy")
    words = sorted({word.upper() for text in PROMPTS.values() for word in text.split()})
    unigrams = "".join(f"-1\t{word}\t0\n" for word in words)
    (tmp_path / "lm.arpa").write_text(
        f"\\data\\\nngram 1={len(words) + 3}\nngram 2=1\n\n\\1-grams:\n-9\t<unk>\n-9\t<s>\t0\n-1\t</s>\n"
        f"{unigrams}\n\\2-grams:\n-1\tPOUND KEY\n\n\\end\\\n"
    )
    lm = f"{trained},beam_size=50,lm={tmp_path}/lm.arpa,lm_weight=0.5,word_score=0"
    searched = recognise(prompts, lm, tmp_path / "lm")
    assert searched["total"]["wer"] <= greedy["total"]["wer"]
    assert set(" ".join(read_scp(tmp_path / "lm/text").values()).split()) <= set(words)
    record = searched["recogniser"]
    assert record["lm"] == "lm.arpa" and len(record["lm_sha256"]) == 64 and record["beam_size"] == 50


def test_phonemes_of_prompts(prompts, tmp_path):
    (tmp_path / "lexicon.txt").write_text(LEXICON)
    command(
        *(prompts, tmp_path / "pr", "--upstream", MINI_HUBERT, "--units", "phones", "--head", "linear"),
        *("--lexicon", f"{tmp_path}/lexicon.txt", "--steps", "120", "--rate", "5e-2", "--eval-every", "40"),
        *("--layers", "2,4,6"),
    )
    recipe, units, weights = load(tmp_path / "pr")
    assert (
        units.kind == "phones"
        and len(units.tokens) == 27
        and set(weights) == {"state_weights", "out.weight", "out.bias"}
    )
    assert recipe.training["valid_error"] < 25
    score = recognise(prompts, f"{tmp_path}/pr", tmp_path / "out")
    assert score["unit"] == "phones" and score["lexicon"] == "lexicon.txt"
    assert score["total"]["N"] == sum(len(units.split(text)) for text in PROMPTS.values())
    assert score["utterances"]["hello"]["ref"] == "HH AH L OW"
    assert score["total"]["wer"] < 25


# Tones and a random model: what does not need speech


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(upstream of a random model of two layers, folder with tones a and b)."""
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    folder = tmp_path_factory.mktemp("tiny")
    HubertModel(config).save_pretrained(folder / "model")
    time = np.arange(3200) / 16000
    tone = {"a": np.sin(2 * np.pi * 300 * time), "b": np.sin(2 * np.pi * 2000 * time), " ": np.zeros(3200)}
    texts = ["ab", "ba", "a", "b a", "ab b", "bab"]
    items = {f"u{k}": (0.3 * np.concatenate([tone[c] for c in text]), text) for k, text in enumerate(texts)}
    return f"transformers:{folder}/model", write(folder / "data", items)


OPTIONS = ("--hidden", "8", "--depth", "1", "--batch-seconds", "1.5", "--steps", "12", "--eval-every", "4")


def train_tiny(tiny, output, *more):
    upstream, data = tiny
    return command(data, output, "--upstream", upstream, *OPTIONS, *more)


def test_killed_it_goes_on_to_the_same_weights(tiny, tmp_path, monkeypatch, capsys):
    train_tiny(tiny, tmp_path / "whole")

    class Killed(Exception):
        pass

    real = ctc_train._Loop.save

    def save(self):
        real(self)
        if self.step == 5:
            raise Killed

    monkeypatch.setattr(ctc_train._Loop, "save", save)
    real_train = ctc_train.train
    monkeypatch.setattr(ctc_train, "train", lambda *a, **k: real_train(*a, **k, save_every=0))
    with pytest.raises(Killed):
        train_tiny(tiny, tmp_path / "cut")
    assert not (tmp_path / "cut/config.json").exists()
    with pytest.raises(ValueError, match="no finished recogniser"):
        SSLCTC(f"{tmp_path}/cut").settings()
    monkeypatch.setattr(ctc_train._Loop, "save", real)
    capsys.readouterr()
    train_tiny(tiny, tmp_path / "cut", "--cache-gb", "0")
    assert "resuming at step 5" in capsys.readouterr().out
    whole, cut = (load(tmp_path / name)[2] for name in ("whole", "cut"))
    for name, value in whole.items():
        torch.testing.assert_close(cut[name], value, msg=name)
    with pytest.raises(
        SystemExit, match=r"from a training with other plan; delete it or choose another folder"
    ):
        train_tiny(tiny, tmp_path / "cut", "--seed", "1")


def test_it_goes_on_with_the_same_audio_and_transcripts_only(tiny, tmp_path):
    upstream, data = tiny
    waves = {f"u{k}": sf.read(data / f"u{k}.wav")[0] for k in range(6)}
    mine = write(tmp_path / "data", {name: (wav, "ab") for name, wav in waves.items()})
    train_tiny((upstream, mine), tmp_path / "ctc")
    weights = (tmp_path / "ctc/model.pt").read_bytes()
    text = (mine / "text").read_text()
    for change in (
        lambda: (mine / "text").write_text(text.replace("u1 ab", "u1 ba")),  # as many units
        lambda: sf.write(mine / "u1.wav", waves["u1"][::-1], 16000),  # of the same length
    ):
        change()
        with pytest.raises(SystemExit, match=r"checkpoint.pt: from a training with other data; delete it"):
            train_tiny((upstream, mine), tmp_path / "ctc")
        (mine / "text").write_text(text)
    assert (tmp_path / "ctc/model.pt").read_bytes() == weights


def test_other_weights_of_the_encoder_are_refused(tiny, tmp_path):
    upstream, _ = tiny
    train_tiny(tiny, tmp_path / "ctc")
    from transformers import HubertModel

    model = HubertModel.from_pretrained(upstream.partition(":")[2])
    with torch.no_grad():
        model.encoder.layers[0].final_layer_norm.bias += 1e-3
    model.save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"other: other weights than the recogniser was trained on \(HuBERT"):
        SSLCTC(f"{tmp_path}/ctc", upstream=f"transformers:{tmp_path}/other").transcribe(
            np.zeros(8000, "float32")
        )


@pytest.mark.parametrize("kind", ["linear", "blstm"])
def test_each_weight_of_a_head_is_needed(kind):
    def head():
        return Head(3, 8, 5, kind=kind, hidden=4)

    weights = head().state_dict()
    for name, weight in weights.items():
        for wrong in ({**weights, name: weight[:-1]}, {**weights, name: weight * float("nan")}):
            with pytest.raises(DataError, match=name.replace(".", r"\.")):
                with_weights(head(), wrong, "model.pt")
        with pytest.raises(DataError, match="do not fit"):
            with_weights(head(), {key: value for key, value in weights.items() if key != name}, "model.pt")


def test_hidden_states_are_the_models(tiny):
    from transformers import HubertModel

    upstream, data = tiny
    wav = torch.from_numpy(sf.read(data / "u4.wav", dtype="float32")[0])[None]
    states, frames = hidden_states(load_encoder(upstream, layers="all", normalize_input=False), wav)
    with torch.no_grad():
        expected = HubertModel.from_pretrained(upstream.partition(":")[2])(wav, output_hidden_states=True)
    for found, theirs in zip(states[0].transpose(0, 1), expected.hidden_states[:-1], strict=False):
        torch.testing.assert_close(found, theirs[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(states[0, :, -1], expected.last_hidden_state[0], rtol=1e-4, atol=1e-5)
    assert frames.tolist() == [states.shape[1]]


@pytest.mark.parametrize("kind", ["linear", "blstm"])
def test_head_of_a_padded_batch_equals_single_utterances(kind):
    torch.manual_seed(0)
    head = Head(3, 8, 5, kind=kind, hidden=6).eval()
    with torch.no_grad():
        head.state_weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
    states, lengths = torch.randn(2, 9, 3, 8), torch.tensor([9, 5])
    together = head(states, lengths)
    for row, n in enumerate(lengths.tolist()):
        alone = head(states[row : row + 1, :n], lengths[row : row + 1])
        torch.testing.assert_close(together[row, :n], alone[0])
    mixed = (states * torch.tensor([0.5, -1.0, 2.0]).softmax(0)[:, None]).sum(2)
    if kind == "linear":
        torch.testing.assert_close(together, head.out(mixed).log_softmax(-1))


def test_features_in_memory_are_those_computed(tiny):
    upstream, data = tiny
    encoder = load_encoder(upstream, layers="all")
    units = Units("characters", ("<blank>", "|", "a", "b"))
    items = read_set(data / "wav.scp", data / "text", units, encoder, print, strict=True)
    none, all_kept = (Features(encoder, torch.device("cpu"), gigabytes) for gigabytes in (0, 1))
    first, second = all_kept(items), all_kept(items)
    assert len(all_kept.kept) == 6 and not none.kept
    for found in (first, second):
        torch.testing.assert_close(found, none(items))


def test_batches_hold_every_utterance_once_and_what_fits():
    items = [Utterance(str(k), "", 16000 * (1 + k // 4), []) for k in range(20)]
    groups = batches(items, 6.0, 0, 0)
    assert sorted((item.name for group in groups for item in group), key=int) == [str(k) for k in range(20)]
    assert all(len(group) * max(item.samples for item in group) <= 6 * 16000 for group in groups)
    names = [[item.name for item in group] for group in groups]
    assert names == [[i.name for i in g] for g in batches(items, 6.0, 0, 0)]
    assert names != [[i.name for i in g] for g in batches(items, 6.0, 0, 1)]


def test_utterances_too_short_for_their_text(tiny, tmp_path):
    upstream, _ = tiny
    encoder = load_encoder(upstream, layers="all")
    units = Units("characters", ("<blank>", "|", "a", "b"))
    items = {f"u{k}": (np.zeros(8000), "ab") for k in range(20)}
    items["u0"] = (np.zeros(400 + 320 * 4), "a b b")  # 5 frames for 6 units
    folder = write(tmp_path / "data", items)
    said = []
    found = read_set(folder / "wav.scp", folder / "text", units, encoder, said.append, strict=False)
    assert len(found) == 19 and "1 utterances left out, shorter than their transcripts: ['u0']" in said[0]
    assert len(read_set(folder / "wav.scp", folder / "text", units, encoder, print, strict=True)) == 20
    (folder / "text").write_text("".join(f"u{k} {'ab' * 40}\n" for k in range(20)))
    with pytest.raises(DataError, match="only 0 of 20 utterances are long enough"):
        read_set(folder / "wav.scp", folder / "text", units, encoder, print, strict=False)
    (folder / "text").write_text("u1 a\n")
    with pytest.raises(DataError, match=r"text: no transcript of 19 utterances of .*wav.scp, like u0"):
        read_set(folder / "wav.scp", folder / "text", units, encoder, print, strict=False)
