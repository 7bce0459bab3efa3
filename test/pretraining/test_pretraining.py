"""Masks, streams, labels and the training loop of the mini HuBERT, on signals whose answers are known."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from transformers import HubertModel

from espnet_posinv.ssl import load_encoder
from espnet_posinv.ssl.marks import marks

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "egs2/mini_debian/ssl1/local"))  # as ssl1/run.sh does

from pretraining import corpus, labels, train  # noqa: E402
from pretraining.__main__ import main  # noqa: E402
from pretraining.model import (  # noqa: E402
    HOP,
    MASK_SPAN,
    MASK_START,
    MaskedPrediction,
    draw_mask,
    mini_config,
)
from pretraining.streams import Streams, crop, joined, load  # noqa: E402

RATE = 16000


def tiny_config():
    config = mini_config(layers=1, width=64)
    config.conv_dim = (8,) * 7
    config.intermediate_size = 64
    # Dropout draws from the global generator, which a resumed run begins anew
    config.hidden_dropout = config.attention_dropout = config.feat_proj_dropout = 0.0
    return config


@pytest.fixture
def tiny(monkeypatch):
    """A model, clusters and samples small enough for a test."""
    monkeypatch.setattr(train, "mini_config", tiny_config)
    monkeypatch.setattr(train, "CLUSTERS", 7)
    monkeypatch.setattr(labels, "FIT_FRAMES", 2000)


def tones(seconds, seed):
    """Half-second tones of five pitches in random order: clusters exist and can be told from the context."""
    rng = np.random.default_rng(seed)
    t = np.arange(RATE // 2) / RATE
    return np.concatenate(
        [0.2 * np.sin(2 * np.pi * 300 * 2 ** rng.integers(5) * t) for _ in range(2 * seconds)]
    )


def speech_folder(path, count=2):
    path.mkdir()
    for i in range(count):
        add_stream(path, f"voice{i}.0.flac", tones(8, i))
    return path


def add_stream(path, name, samples):
    """A stream whose recordings last 2.5 s each."""
    sf.write(path / name, samples, RATE)
    index = path / "index.tsv"
    if not index.exists():
        index.write_text("file\tvoice\tname\tstart\tsamples\n")
    with open(index, "a") as file:
        for start in range(0, len(samples), 40000):
            file.write(f"{name}\tvoice\trecording\t{start}\t{min(40000, len(samples) - start)}\n")


def test_shipped_size():
    model = HubertModel(mini_config())
    assert sum(p.numel() for p in model.parameters()) == 6321952


def test_mask_is_made_of_spans_at_the_rate_of_the_paper():
    mask = draw_mask(400, 500, torch.Generator().manual_seed(0), torch.device("cpu"))
    # A frame is free when none of the ten frames up to it began a span.
    inner = mask[:, MASK_SPAN:].float().mean().item()
    assert inner == pytest.approx(1 - (1 - MASK_START) ** MASK_SPAN, abs=0.01)
    edges = torch.diff(torch.nn.functional.pad(mask.int(), (1, 1)), dim=1)
    for row in edges:
        begin, end = (row == 1).nonzero()[:, 0], (row == -1).nonzero()[:, 0]
        assert ((end - begin >= MASK_SPAN) | (end == mask.shape[1])).all()


def test_streams_and_crops_agree_with_the_files(tmp_path):
    folder = speech_folder(tmp_path / "s")
    add_stream(folder, "short.0.flac", tones(1, 9))
    streams = load(folder, 2 * RATE, speeds=((1, 1), (9, 10)))
    assert streams.names[:2] == ["short.0@1", "short.0@0.9"]
    assert streams.lengths.tolist()[:2] == [2 * RATE, 2 * RATE]  # filled up
    assert streams.lengths.tolist()[2] == 8 * RATE
    # Slower by 10 % is longer by a ninth
    assert streams.lengths.tolist()[3] == pytest.approx(8 * RATE / 0.9, abs=HOP)
    index = torch.arange(streams.frames)
    wav, target = crop(streams, index, 16, 2 * RATE, torch.Generator().manual_seed(0))
    assert wav.shape == (16, 2 * RATE) and target.shape == (16, 99)
    for w, t in zip(wav, target, strict=True):
        assert torch.equal(t, torch.arange(99) + t[0])
        raw = streams.audio[t[0] * HOP : t[0] * HOP + 2 * RATE].float() / 32768
        gain = w.norm() / raw.norm()
        torch.testing.assert_close(w, raw * gain, atol=1e-5, rtol=1e-4)
        assert -12.1 <= 20 * np.log10(gain) <= 6.1
        stream = (t[0] * HOP >= streams.starts).sum() - 1
        assert t[0] * HOP + 2 * RATE <= streams.starts[stream] + streams.lengths[stream]


def test_streams_refuse_other_rates(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "index.tsv").write_text("")
    with pytest.raises(ValueError, match=r"a\.wav: 8000 Hz"):
        load(tmp_path, 160)
    with pytest.raises(FileNotFoundError, match="gather"):
        load(tmp_path / "nothing", 160)


def test_utterances_begin_with_recordings_and_fit():
    hops = [(0, 3), (3, 5), (5, 11), (11, 12)]  # the third is cut
    ends = [HOP * b + 7 for _, b in hops]
    assert [(a // HOP, b // HOP) for a, b in joined(ends, 5 * HOP)] == [(0, 5), (5, 10), (10, 12)]


def test_fixed_windows_are_utterances_with_silence_behind(tmp_path):
    streams = load(speech_folder(tmp_path / "s"), 3 * RATE, speeds=((1, 1),))
    assert streams.utterances.tolist()[:3] == [[0, 40000], [40000, 40000], [80000, 48000]]
    index = torch.arange(streams.frames)
    wav, target = crop(streams, index, 8, 3 * RATE, torch.Generator().manual_seed(0), fixed=True)
    known = {first // HOP: samples for first, samples in streams.utterances.tolist()}
    assert wav.shape == (8, 3 * RATE) and len(set(target[:, 0].tolist())) > 2
    for w, t in zip(wav, target, strict=True):
        samples = known[int(t[0])]
        frames = (samples - 400) // HOP + 1
        assert not w[samples:].any() and w[samples - 400 : samples].any()
        assert torch.equal(t[:frames], t[0] + torch.arange(frames)) and (t[frames:] == -1).all()


def test_clusters_find_what_was_put_in():
    centres = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    truth = torch.randint(3, (400,), generator=torch.Generator().manual_seed(0))
    points = centres[truth] + 0.1 * torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    found, unexplained = labels.k_means(points, 3, torch.Generator().manual_seed(0))
    near, square = labels.nearest(points, found)
    assert len({(a, b) for a, b in zip(truth.tolist(), near.tolist(), strict=True)}) == 3
    torch.testing.assert_close(square, (points - found[near]).square().sum(1), atol=1e-4, rtol=1e-3)
    assert unexplained < 0.01


def masked_case():
    """A model, samples (the second ends earlier), mask and clusters, and transformers' hidden states."""
    torch.manual_seed(0)
    model = MaskedPrediction(tiny_config(), 5).eval()
    wav, mask = torch.randn(2, RATE) * 0.1, torch.zeros(2, 49, dtype=torch.bool)
    wav[1, 8000:] = 0
    mask[:, 10:20] = True
    target = torch.randint(5, (2, 49))
    target[1, 24:] = -1  # (8000 - 400) / 320 + 1 frames
    heard = torch.ones(2, RATE, dtype=torch.long)
    heard[1, 8000:] = 0
    hidden = model.hubert(wav, attention_mask=heard, mask_time_indices=mask).last_hidden_state
    return model, wav, mask, target, hidden


def test_hidden_states_are_those_of_transformers():
    model, wav, mask, target, hidden = masked_case()
    inside = target >= 0
    found = model.hidden(wav, mask, inside)
    torch.testing.assert_close(found[inside], hidden[inside], atol=1e-5, rtol=1e-4)


def test_loss_is_a_mean_over_masked_and_one_over_open_frames():
    model, wav, mask, target, hidden = masked_case()
    cosine = torch.nn.functional.cosine_similarity(model.project(hidden)[:, :, None], model.codes, dim=-1)
    parts = [(m & (target >= 0)) for m in (mask, ~mask)]
    expected = sum(torch.nn.functional.cross_entropy(cosine[m] / 0.1, target[m]) for m in parts)
    loss, hits = model(wav, target, mask)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    assert hits == (cosine.argmax(-1) == target)[parts[0]].float().mean()


def test_the_positional_twin_predicts_the_index_from_the_same_vector():
    plain, wav, mask, target, hidden = masked_case()
    model = MaskedPrediction(tiny_config(), 5, 49).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    cosine = torch.nn.functional.cosine_similarity(model.project(hidden)[:, :, None], model.places, dim=-1)
    place = torch.arange(49).expand_as(target)
    parts = [(m & (target >= 0)) for m in (mask, ~mask)]
    expected = sum(torch.nn.functional.cross_entropy(cosine[m] / 0.1, place[m]) for m in parts)
    loss, _ = model(wav, target, mask, 0.5)
    torch.testing.assert_close(loss - plain(wav, target, mask)[0], 0.5 * expected, rtol=1e-4, atol=1e-5)
    plan = train.Plan(9, positional=True)
    assert [plan.place_weight(step) for step in (0, 5, 6)] == [0.1, 0.1, 0.3]
    assert train.Plan(9).place_weight(8) == 0


class PositionalEncoder(torch.nn.Module):
    """Features: level of the frame, plus the speaker's constant, plus a table of positions."""

    def forward(self, wav):
        count = wav.shape[1] // HOP
        level = wav[:, : count * HOP].reshape(len(wav), count, HOP).mean(2)
        table = torch.sin(torch.arange(count) * 0.7) * 5
        return torch.stack([level + table, 3 * level - table], -1), None


def test_a_teachers_features_hold_neither_position_nor_voice(monkeypatch):
    monkeypatch.setattr(labels, "TEACHER_FRAMES", 40)
    generator = torch.Generator().manual_seed(0)
    lengths = [40 * 300 + 7, 40 * 200, 25]  # whole windows, with a rest, less than a window
    levels = [torch.randint(-50, 50, (n,), generator=generator) / 100 for n in lengths]
    audio = torch.cat([(v.repeat_interleave(HOP) * 32768).round().short() for v in levels])
    starts = torch.tensor([0, *lengths[:2]]).cumsum(0) * HOP
    streams = Streams(audio, starts, torch.tensor(lengths) * HOP, ["a", "b", "c"], torch.zeros(0, 2))
    teacher = labels.Teacher(PositionalEncoder(), streams)
    for level, (_, x) in zip(levels, streams.items(), strict=True):
        y = teacher(x)
        assert y.shape == (len(level), 2)
        window = level[:40]
        expected = window - window.mean()
        # The mean at an index over 500 windows errs by 1 / sqrt(500)
        torch.testing.assert_close(y[: len(window), 0], expected, atol=0.08, rtol=0.02)
        torch.testing.assert_close(3 * y[:, 0], y[:, 1], atol=1e-3, rtol=1e-3)  # both hold the level alone
    # The rest of a stream is heard together with what is before it
    y, window = teacher(next(streams.items())[1]), levels[0][-40:]
    torch.testing.assert_close(y[-7:, 0], (window - window.mean())[-7:], atol=0.08, rtol=0.02)


def test_learning_rate_warms_up_and_ends_at_zero():
    plan = train.Plan(steps=1000, rate=1.0, warmup=0.1)
    rates = [train.learning_rate(s, plan) for s in range(1000)]
    assert np.argmax(rates) == pytest.approx(100, abs=1) and max(rates) == pytest.approx(1.0)
    assert rates[49] == pytest.approx(0.5) and rates[549] == pytest.approx(0.5, abs=0.01) and rates[-1] < 1e-5


def teacher_of(path, layer=1):
    """A teacher of random weights, loaded anew."""
    if not path.exists():
        HubertModel(tiny_config()).save_pretrained(path)
    return "teacher", load_encoder(f"transformers:{path}", layers=layer)


@pytest.mark.parametrize("positional", [False, True])
def test_training_goes_on_where_it_stopped_with_the_same_result(tiny, tmp_path, monkeypatch, positional):
    streams = load(speech_folder(tmp_path / "s"), 2 * RATE, speeds=((1, 1),))
    plan = train.Plan(steps=6, batch=2, seconds=2.0, positional=positional)
    teacher = teacher_of(tmp_path / "teacher")

    def weights(work):
        state = torch.load(work / "checkpoint.pt", weights_only=True)
        return state["step"], state["model"]["project.weight"]

    for work in ("whole", "cut"):
        (tmp_path / work).mkdir()
    train.train(streams, tmp_path / "whole", plan, teacher, [], say=lambda s: None)

    class Killed(Exception):
        pass

    real, calls = train.save, []

    def save(path, state):
        real(path, state)
        calls.append(path.name)
        if state.get("step") == 3:
            raise Killed

    monkeypatch.setattr(train, "save", save)
    with pytest.raises(Killed):
        train.train(streams, tmp_path / "cut", plan, teacher, [], say=lambda s: None, save_every=0)
    monkeypatch.setattr(train, "save", real)
    lines = []
    train.train(streams, tmp_path / "cut", plan, teacher, [], say=lines.append)
    assert lines[0] == "going on at step 3 of 6"
    with pytest.raises(ValueError, match=r"checkpoint\.pt: of the other twin"):
        train.train(streams, tmp_path / "cut", replace(plan, positional=not positional), teacher, [])
    (a, x), (b, y) = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert a == b == 6
    torch.testing.assert_close(x, y)


def test_labels_of_other_speech_or_another_teacher_are_refused(tiny, tmp_path):
    streams = load(speech_folder(tmp_path / "s"), 2 * RATE, speeds=((1, 1),))
    plan = train.Plan(1)
    same, layer = teacher_of(tmp_path / "teacher"), teacher_of(tmp_path / "teacher", 0)
    HubertModel(tiny_config()).save_pretrained(tmp_path / "teacher")  # other weights in the same folder
    weights = teacher_of(tmp_path / "teacher")
    made = train.labels_of(streams, tmp_path, plan, *same, print)
    assert torch.equal(made, train.labels_of(streams, tmp_path, plan, *same, print))
    for teacher in (layer, weights):
        with pytest.raises(ValueError, match=r"clusters of teacher, layer 1, .* but the teacher is teacher"):
            train.labels_of(streams, tmp_path, plan, *teacher, print)
    torch.save({"labels": torch.zeros(7, dtype=torch.int16), "teacher": ""}, tmp_path / "labels.pt")
    with pytest.raises(ValueError, match="7 frames, but the speech has 800"):
        train.labels_of(streams, tmp_path, plan, *same, print)


def test_a_teacher_is_missed_before_anything_is_done(tmp_path):
    options = ["train", "--speech", str(tmp_path), "--work", str(tmp_path / "w"), "--device", "cpu"]
    with pytest.raises(SystemExit, match="nowhere"):
        main([*options, "--teacher", f"whisper:{tmp_path}/nowhere"])
    assert not (tmp_path / "w").exists()


def test_command_trains_exports_and_loads(tiny, tmp_path, capsys):
    folder, work = speech_folder(tmp_path / "s"), tmp_path / "w"
    options = ["--speech", str(folder), "--work", str(work), "--steps", "3", "--batch", "2", "--seconds", "2"]
    HubertModel(tiny_config()).save_pretrained(tmp_path / "teacher")
    options += ["--teacher", f"transformers:{tmp_path}/teacher", "--teacher_layer", "1", "--device", "cpu"]
    main(["train", *options])
    main(["export", "--work", str(work)])
    assert "step 3/3" in capsys.readouterr().out
    rows = [json.loads(line) for line in (work / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3
    model = HubertModel.from_pretrained(work / "model")
    assert model.dtype == torch.float32  # stored in half precision, computed in single
    trained = torch.load(work / "checkpoint.pt", weights_only=True)["model"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, trained[f"hubert.{name}"].half().float(), msg=name)
    config = json.loads((work / "model" / "config.json").read_text())
    assert (config["teachers"], config["teacher_weights"]) == (["teacher"], marks(tmp_path / "teacher"))
    with pytest.raises(SystemExit, match="train first"):
        main(["export", "--work", str(tmp_path)])


def test_streams_of_short_voices_are_joined(tmp_path):
    items = [corpus.Recording("a-long", f"l{i}", tones(20, i).astype(np.float32)) for i in range(4)]
    items += [corpus.Recording(f"a-short{i}", f"s{i}", tones(2, i).astype(np.float32)) for i in range(3)]
    hours = corpus.write_streams(tmp_path / "out", items)
    assert hours == pytest.approx(86 / 3600)
    assert sorted(p.name for p in tmp_path.joinpath("out").glob("*.flac")) == [
        "a-long.0.flac",
        "a-others.0.flac",
    ]
    rows = [line.split("\t") for line in (tmp_path / "out" / "index.tsv").read_text().splitlines()[1:]]
    voices = {row[1] for row in rows}
    table = [line.split("\t") for line in (tmp_path / "out" / "voices.tsv").read_text().splitlines()[1:]]
    assert {row[0] for row in table} == voices and sum(int(row[1]) for row in table) == len(rows)
    minutes = sum(int(row[4]) for row in rows) / 16000 / 60
    assert sum(float(row[2]) for row in table) == pytest.approx(minutes, abs=0.005 * len(table))
    for file, voice, name, start, count in rows:
        x, _ = sf.read(tmp_path / "out" / file, start=int(start), frames=int(count), dtype="float32")
        original = next(i for i in items if (i.voice, i.name) == (voice, name)).samples
        np.testing.assert_allclose(x, original, atol=1e-4)


def test_noisy_clipped_silent_and_short_recordings_are_left_out():
    rng = np.random.default_rng(0)
    # Not tones: their samples meet the very same peak again and again, as clipped ones do
    bursts = np.repeat([1, 0, 1, 0, 1, 0, 1, 0], RATE // 4)
    speech = (0.1 * rng.standard_normal(2 * RATE) * bursts).astype(np.float32)
    clean = corpus._clean(speech, 25)
    assert 20 * np.log10(np.sqrt(np.mean(clean[:3000] ** 2))) == pytest.approx(-26, abs=0.5)
    assert corpus._clean(speech + 0.05 * rng.standard_normal(len(speech)).astype(np.float32), 25) is None
    assert corpus._clean(np.zeros(RATE, np.float32), 0) is None
    assert corpus._clean(speech[:1000], 0) is None
    assert corpus._clean(np.clip(10 * speech, -0.9, 0.9), 0) is None


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--stage", "x"], "--stage x: a whole number"),  # this once did nothing and was content
        (["--stage", "9"], "stages are 1 to 4"),
        (["--steps", "many"], "--steps many: a whole number"),
        (["--batch"], "--batch needs a value"),
    ],
)
def test_mistakes_in_the_recipes_options_are_named_before_anything_is_done(options, what):
    recipe = ROOT / "egs2/mini_debian/ssl1/run.sh"
    done = subprocess.run([recipe, *options], capture_output=True, text=True)
    assert done.returncode == 2 and what in done.stderr and not done.stdout


def test_held_out_recordings_elsewhere_than_the_archive_stop_the_gathering(tmp_path, monkeypatch):
    """They are found by path: with other paths nothing would be left out, and no one would know."""
    monkeypatch.setattr(corpus, "unpack", lambda *_: tmp_path / "unpacked")
    monkeypatch.setattr(corpus, "_left_out", lambda *_: {tmp_path / "other/a.g722"})
    with pytest.raises(ValueError, match=r"a\.g722: held out, but not in .*unpacked"):
        next(corpus.recordings(tmp_path))
