"""The experiment of doc/evidence.md: archives, seeds side by side, scores, a planted interaction."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "egs2/mini_debian/enh1/local"))

from interaction.__main__ import ABLATION, main  # noqa: E402
from interaction.ablation import Grids  # noqa: E402
from interaction.report import Resamples, Results, _interaction, told  # noqa: E402
from interaction.speed import measure  # noqa: E402
from interaction.train import Models, load_model, train  # noqa: E402

from espnet_posinv.enh.in_memory import Plan  # noqa: E402
from espnet_posinv.report.document import Strong  # noqa: E402
from espnet_posinv.report.systems import read_systems  # noqa: E402

RATE = 16000
MODEL = ROOT / "egs2/mini_debian/enh1/models/nsnet2_ssl_mse"
MINI = f"transformers:{ROOT / 'egs2/mini_debian/ssl1/mini_hubert'}"


def test_an_archive_gives_back_what_went_in(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    waves, t = {}, np.arange(RATE) / RATE
    for i, seconds in enumerate((1.0, 0.5, 0.7)):
        waves[f"u{i}"] = 0.3 * np.sin(2 * np.pi * (300 + 200 * i) * t)[: int(seconds * RATE)]
        soundfile.write(data / f"u{i}.wav", waves[f"u{i}"], RATE)
    (data / "wav.scp").write_text("".join(f"{k} {data}/{k}.wav\n" for k in waves))
    (data / "text_phones").write_text("u0 a b\nu1 c\nu2 d\n")
    main(["pack", "--archive", str(tmp_path / "a.tar"), "--lists", f"test={data}/wav.scp=32"])
    main(["unpack", "--archive", str(tmp_path / "a.tar"), "--data", str(tmp_path / "out")])
    assert (tmp_path / "out/test/text_phones").read_text() == "u0 a b\nu1 c\nu2 d\n"
    lines = (tmp_path / "out/test/wav.scp").read_text().split("\n")[:-1]
    assert [line.split()[0] for line in lines] == list(waves)
    for line in lines:
        key, path = line.split()
        x, rate = soundfile.read(path)
        assert rate == RATE and len(x) == len(waves[key])
        # Edges, where one recording runs into the next, are not compared
        assert np.corrcoef(x[800:-800], waves[key][800:-800])[0, 1] > 0.97


def test_each_seed_has_its_own_weights_and_what_is_done_is_kept(tmp_path):
    g = torch.Generator().manual_seed(0)
    speech, noises = [0.1 * torch.randn(3 * RATE, generator=g)], {"n": torch.randn(3 * RATE, generator=g)}
    common = (MODEL, speech, noises, Plan(2, 1, 0.5), 2, [1, 2], "cpu")
    cell, other = tmp_path / "mse", tmp_path / "pad"
    losses = {"name": "ssl_mse", "conf": {}}, {"name": "ssl_mse_pad", "conf": {}}
    train({cell: (losses[0], [MINI]), other: (losses[1], [MINI])}, *common)
    first, last = (torch.load(cell / f"step{n}.pt", weights_only=True) for n in (1, 2))
    name = "separator.linear_out.weight"
    start = load_model(MODEL).state_dict()["linear_out.weight"]
    (a, b), (c, d) = ([seed[name].float() for seed in seeds] for seeds in (first, last))
    assert not torch.equal(a, b) and not torch.equal(c, d)
    assert (c - start).norm() > (a - start).norm() > 0
    rows = [json.loads(line) for line in (cell / "train.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2] and len(rows[0]["loss"]) == 2
    options = ["export", "--output-dir", str(tmp_path), "--cells", "mse", "--steps", "2"]
    main(options)
    exported = load_model(cell / "step2_seed2").state_dict()["linear_out.weight"]
    torch.testing.assert_close(exported, d)
    (system,) = read_systems([cell / "step2_seed2"]).values()
    assert (system.criterion, system.upstreams) == ("ssl_mse", [MINI])
    # What is there is kept; alone, a cell becomes what it is beside another
    before = (cell / "step2.pt").stat().st_mtime_ns
    train({cell: (losses[0], [MINI]), tmp_path / "alone": (losses[1], [MINI])}, *common)
    assert (cell / "step2.pt").stat().st_mtime_ns == before
    beside, alone = (torch.load(p / "step2.pt", weights_only=True) for p in (other, tmp_path / "alone"))
    for x, y in zip(beside, alone, strict=True):
        assert torch.equal(x[name], y[name])
    with pytest.raises(ValueError, match=r"mse/plan.json: trained with other settings"):
        train({cell: (losses[0], [MINI])}, *common[:3], Plan(2, 1, 0.4), *common[4:])


def test_the_speed_of_each_cell_is_measured_and_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("interaction.speed.COUNTED", 2)
    g = torch.Generator().manual_seed(0)
    speech, noises = [0.1 * torch.randn(3 * RATE, generator=g)], {"n": torch.randn(3 * RATE, generator=g)}
    cells = {tmp_path / name: ({"name": name, "conf": {}}, [MINI]) for name in ("ssl_mse", "ssl_softdtw")}
    began = time.perf_counter()
    measure(cells, MODEL, speech, noises, Plan(100, 1, 0.5), 3, "cpu", tmp_path)
    took = time.perf_counter() - began
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found["seeds"] == 3 and list(found["seconds"]) == ["ssl_mse", "ssl_softdtw"]
    assert 0 < sum(found["seconds"].values()) * 3 * 2 < took  # three models, two updates
    assert list(tmp_path.iterdir()) == [tmp_path / "speed.json"]  # what cells say of themselves stays


def test_a_training_that_is_killed_goes_on(tmp_path, monkeypatch):
    g = torch.Generator().manual_seed(0)
    speech, noises = [0.1 * torch.randn(3 * RATE, generator=g)], {"n": torch.randn(3 * RATE, generator=g)}
    common = (MODEL, speech, noises, Plan(3, 1, 0.5), 2, [1, 3], "cpu")

    def cells(folder):
        return {
            tmp_path / folder / name: ({"name": name, "conf": {}}, [MINI])
            for name in ("ssl_mse", "ssl_softdtw")
        }

    train(cells("whole"), *common)
    monkeypatch.setattr("interaction.resume.EVERY", 0.0)
    update, steps = Models.update, []

    def noted(models, step, *batch):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt
        update(models, step, *batch)

    monkeypatch.setattr(Models, "update", noted)
    with pytest.raises(KeyboardInterrupt):
        train(cells("killed"), *common)
    kept = next(tmp_path.rglob("state.pt")).read_bytes()
    train(cells("killed"), *common)
    assert steps == [0, 1, 2, 2] and not list(tmp_path.rglob("state.pt"))
    for name in ("ssl_mse", "ssl_softdtw"):
        folders = [tmp_path / folder / name for folder in ("whole", "killed")]
        rows = [json.loads((p / "train.jsonl").read_text().splitlines()[-1]) for p in folders]
        assert rows[0]["loss"] == rows[1]["loss"]
        models = [torch.load(p / "step3.pt", weights_only=True) for p in folders]
        for x, y in zip(*models, strict=True):
            assert all(torch.equal(x[key], y[key]) for key in x)
    (tmp_path / "other/ssl_mse").mkdir(parents=True)
    (tmp_path / "other/ssl_mse/state.pt").write_bytes(kept)
    steps.clear()
    monkeypatch.setattr(Models, "update", lambda models, step, *batch: steps.append(step))
    train(cells("other"), *common[:3], Plan(3, 1, 0.5, rate=1e-5), *common[4:])
    assert steps == [0, 1, 2]  # with another plan it begins anew


def test_rates_and_intervals():
    sampled = Resamples(np.full(400, 10.0), 3)
    rng = np.random.default_rng(1)
    errors = np.repeat(rng.binomial(10, 0.3, (1, 400)), 3, 0).astype(float)
    rates = sampled.rate(errors)
    assert rates[0] == pytest.approx(100 * errors[0].sum() / 4000)
    # Seeds that agree add nothing: the binomial's deviation of 4000 phones
    assert rates[1:].std() == pytest.approx(100 * (0.21 / 4000) ** 0.5, rel=0.1)
    apart = sampled.rate(errors + np.array([[0.0], [0.5], [1.0]]))  # seeds 5 points apart
    assert (apart - rates)[1:].std() == pytest.approx(5 * (2 / 3) ** 0.5 / 3**0.5, rel=0.1)
    worse = sampled.rate(errors + 1) - rates
    assert isinstance(told(worse, "+.1f"), Strong) and told(worse, "+.1f").text == "+10.0 [+10.0, +10.0]"
    assert isinstance(told(rates - rates[0], "+.1f"), str)


def test_a_planted_interaction_is_found(tmp_path):
    rng, names = np.random.default_rng(0), [f"u{i}" for i in range(200)]
    judges = ("free", "positional")
    for name, of in (("unseen", names), ("half", names[::-2])):
        facts = {"names": of, "per": [20] * len(of), "lps": {j: [20] * len(of) for j in judges}}
        (tmp_path / f"{name}.facts.json").write_text(json.dumps(facts))

    def row(rate):
        return {j: {k: rng.binomial(20, rate, 200).tolist() for k in ("per", "lps")} for j in judges}

    rates = {"ssl_mse@free": 0.4, "ssl_softdtw@free": 0.4, "ssl_mse@positional": 0.45}
    for cell, rate in (rates | {"ssl_softdtw@positional": 0.35}).items():
        (tmp_path / cell).mkdir()
        (tmp_path / cell / "step400.json").write_text(json.dumps({"unseen": [row(rate) for _ in range(3)]}))
    results = Results(tmp_path)
    whole, half = (results.errors(name, "ssl_mse@free", 400)["free"] for name in ("unseen", "half"))
    np.testing.assert_array_equal(half, whole[:, ::-2])  # what is scored whole is scored in part
    (title, *cells) = _interaction(results).rows[0]
    assert title == "ssl_softdtw, positional and free, unseen"
    for cell in cells:
        assert isinstance(cell, Strong)
        value, low, high = (
            float(x) for x in cell.text.replace("[", "").replace("]", "").replace(",", "").split()
        )
        assert value == pytest.approx(-10, abs=2) and low < value < high < 0
    for name in ("unseen", "half"):
        (tmp_path / f"{name}.noisy.json").write_text(json.dumps(row(0.6)))
    (tmp_path / "nsnet2").mkdir()
    (tmp_path / "nsnet2/step0.json").write_text(json.dumps({"unseen": [row(0.5)]}))
    speed = {"device": "a card", "seeds": 3, "seconds": {"ssl_mse@free": 0.01}}
    (tmp_path / "speed.json").write_text(json.dumps(speed))
    main(["report", "--output-dir", str(tmp_path), "--page", str(tmp_path / "page")])
    page = (tmp_path / "page/interaction.md").read_text()
    assert "3 seeds a cell, 400 updates, 200 utterances" in page
    assert (tmp_path / "page/convergence.png").exists()
    assert "seconds to 90 % of it, a card" in page and "|  | 3.6 [3.6, 3.6] |" in page  # 0.9 of 400 updates
    assert "no certain gain" not in page
    (tmp_path / "nsnet2/step0.json").write_text(json.dumps({"unseen": [row(0.4)]}))  # as ssl_mse@free
    main(["report", "--output-dir", str(tmp_path), "--page", str(tmp_path / "page")])
    page = (tmp_path / "page/interaction.md").read_text()
    assert page.count("| no certain gain |  |  |") == 3 and "| 360 [360, 360] |  |  |" in page
    (tmp_path / "speed.json").write_text(json.dumps(speed | {"seeds": 5}))
    with pytest.raises(SystemExit, match=r"speed.json: of 5 models at once, the cells have 3; delete it"):
        main(["report", "--output-dir", str(tmp_path), "--page", str(tmp_path / "page")])


def test_grids_are_cells_whose_differences_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "egs2/mini_debian/enh1")
    cells = Grids(ABLATION, ["speed"]).cells(["free"])
    tags = ("softness-gamma0.1-divergence-true", "speed-speeds1", "speed-speeds0.8-0.9-1-1.1-1.2")
    names = [f"ssl_softdtw-{tag}@free" for tag in tags]  # the default, where it is first in the file
    assert list(cells) == names and cells[names[1]]["conf"]["speeds"] == [1.0]
    both = Grids(ABLATION, ["speed", "frames"]).cells(["free"])
    assert len(both) == 3 + 4 - 1 and "ssl_softdtw-frames-normalize_frames-false-scale-sum@free" in both
    for grid in ("signal", "tempo"):  # the tempo's criterion is the default; the data differ
        with pytest.raises(ValueError, match=rf"--grids {grid}: .* use posinv ablate"):
            Grids(ABLATION, [grid])
    for options in (
        ["--grids", "speed", "--cells", "ssl_mse@a", "--upstreams", "a=x:y"],
        ["--grids", "speed"],
    ):
        with pytest.raises(SystemExit, match=r"ssl_mse@a: with these grids there are|name encoders"):
            main(["train", *options])
    facts = {"names": ["a", "b"], "per": [10, 10], "lps": {"free": [10, 10]}}
    (tmp_path / "unseen.facts.json").write_text(json.dumps(facts))
    for cell, wrong in zip(names[:2], ([4, 6], [3, 5]), strict=True):
        (tmp_path / cell).mkdir()
        scores = {"unseen": [{"free": {"per": wrong, "lps": wrong}}] * 2}
        (tmp_path / cell / "step800.json").write_text(json.dumps(scores))
    main(["report", "--grids", "speed", "--output-dir", str(tmp_path)])
    page = (tmp_path / "ablation.md").read_text()
    (tmp_path / names[0]).rename(tmp_path / "elsewhere")
    with pytest.raises(SystemExit, match="of no grid of speed the first point"):  # never against another one
        main(["report", "--grids", "speed", "--output-dir", str(tmp_path)])
    assert "2 seeds a point, 800 updates" in page and "| speeds [0.9, 1.0, 1.1] | 50.0 [40.0, 60.0] |" in page
    assert "| speeds [1.0] | **40.0 [30.0, 50.0] (-10.0 [-10.0, -10.0])** |" in page and "0.8" not in page


def test_mistakes_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["unpack"])
    assert "unpack needs --archive FILE" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no scores of a set named unseen"):
        main(["report", "--output-dir", str(tmp_path)])
    options = ["train", "--upstreams", f"a={MINI}", "--cells", "ssl_mse@b"]
    with pytest.raises(SystemExit, match="ssl_mse@b: encoders are a"):
        main(options)
    with pytest.raises(SystemExit, match=r"name speech and noise \(--speech-scp"):
        main(options[:3])
    with pytest.raises(SystemExit, match="foo: write TAG=VALUE"):
        main(["train", "--upstreams", "foo"])
    with pytest.raises(SystemExit, match="--snr 45 -5: the lowest comes first"):
        main([*options[:3], "--speech-scp", "x", "--noise-scp", "y", "--snr", "45", "-5"])


def test_a_short_training_warms_up_for_a_fifth_of_it(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr("interaction.train.train", lambda *args: plans.append(args[4]))
    monkeypatch.chdir(ROOT / "egs2/mini_debian/enh1")
    for name in ("speech.scp", "noise.scp"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr("espnet_posinv.perturb.random_noise.read_noises", lambda path: {})
    options = ["--speech-scp", str(tmp_path / "speech.scp"), "--noise-scp", "x", "--upstreams", f"a={MINI}"]
    main(["train", *options, "--checkpoints", "100", "--snr", "-5", "45"])
    main(["train", *options, "--checkpoints", "400", "800"])
    found = [(plan.steps, plan.warmup, plan.snr) for plan in plans]
    assert found == [(100, 20, (-5, 45)), (800, 100, (-5, 20))]
