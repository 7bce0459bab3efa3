"""Convergence: "reached" against a search along the curve, paired intervals, measured checkpoints."""

import os
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_posinv.convergence.measure import Measures, measure, points, upstream_of
from espnet_posinv.convergence.report import cells, explanation, write_convergence
from espnet_posinv.convergence.summary import NEVER, Curve, curves, reached, summarise
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.document import Panels, read_sections
from espnet_posinv.report.systems import System, read_systems
from espnet_posinv.report.training import Training


def reach_by_search(x, y, level):
    """Settled and first time, on a fine grid of the piecewise linear curve."""
    grid = np.linspace(x[0], x[-1], 200_001)
    above = np.interp(grid, x, y) >= level - 1e-12
    first = grid[above.argmax()] if above.any() else NEVER
    if not above[-1]:
        return NEVER, first
    return grid[len(above) - above[::-1].argmin()] if not above.all() else x[0], first


def test_reached_is_what_a_search_finds():
    rng = np.random.default_rng(0)
    x = np.array([0.0, 25, 50, 100, 110])
    y = np.vstack([np.zeros(50), rng.normal(1, 1, (4, 50))]).T
    level = 0.7 * np.ones(50)
    settled, first = reached(x, y, level)
    expected = np.array([reach_by_search(x, row, 0.7) for row in y])
    np.testing.assert_allclose(settled, expected[:, 0], atol=0.001)
    np.testing.assert_allclose(first, expected[:, 1], atol=0.001)
    assert 5 < np.isinf(settled).sum() < 45
    assert (settled > first + 1).any(), "no curve fell back, so the two definitions were not told apart"


def test_reached_at_the_edges():
    x, y = np.array([0.0, 10, 20]), np.array([[2.0, 1, 2], [0, 4, 4], [0, 4, 0]])
    settled, first = reached(x, y, np.array([1.0, 4.0, 2.0]))
    assert settled.tolist() == [0, 10, NEVER] and first.tolist() == [0, 10, 5]


def curve(values, seconds=None, weights=None):
    """From (S, E, U) values."""
    values = np.array(values, float)
    updates = 10.0 * np.arange(values.shape[1])
    seconds = np.tile(updates / 2, (len(values), 1)) if seconds is None else np.array(seconds, float)
    weights = np.ones(values.shape[2]) if weights is None else np.array(weights, float)
    return Curve(updates, seconds, values, weights)


def systems(**criterions):
    """Systems by name, trained with these criterions; None: with none of ours."""
    made = {}
    for name, criterion in criterions.items():
        config = {"criterions": [{"name": criterion, "conf": {"upstream": "x"}}] if criterion else []}
        made[name] = System(name, [Training(f"{name}_seed1", config, None, None)])
    return made


def test_summary_of_known_curves():
    # SI-SDR 0, 8, 10 for every utterance and seed: 90 % of the gain is 9, half way between updates 10 and 20
    fast = np.tile(np.array([0.0, 8, 10])[None, :, None], (2, 1, 5))
    slow = np.tile(np.array([0.0, 4, 10])[None, :, None], (2, 1, 5))
    table = {"si_sdr": {"ssl_mse_x": curve(slow, [[0, 3, 6], [0, 5, 10]]), "ssl_softdtw_x": curve(fast)}}
    mse, softdtw = summarise(
        table, systems(ssl_mse_x="ssl_mse", ssl_softdtw_x="ssl_softdtw"), 0.9, samples=100
    )
    assert softdtw.gain == (10, 10, 10) and softdtw.best == (10, 20)
    assert softdtw.own["updates"] == pytest.approx((15, 15, 15))
    assert softdtw.own["seconds"] == pytest.approx((7.5, 7.5, 7.5))
    assert mse.own["updates"][0] == pytest.approx(10 + 10 * 5 / 6)
    # mean seconds of the seeds are 0, 4, 8; a resample may hold one seed twice
    assert mse.own["seconds"] == pytest.approx((4 + 4 * 5 / 6, 3 + 3 * 5 / 6, 5 + 5 * 5 / 6))
    assert softdtw.baseline == "ssl_mse_x" and softdtw.earlier == 1 and mse.earlier is None
    assert softdtw.common["updates"][0] == pytest.approx(15)


def test_lower_is_better_and_a_curve_that_falls_back():
    # WER of 50, 20, 40, 30 per cent: the gain is 20, so the level 32, touched early and left again
    errors = np.array([[5, 2, 4, 3], [10, 4, 8, 6]], float).T[None]
    table = {"wer": {"a": curve(errors, weights=[0.1, 0.2])}}
    (row,) = summarise(table, systems(a=None), 0.9, samples=50)
    assert (row.start, row.end) == pytest.approx((50, 30)) and row.best == pytest.approx((20, 10))
    assert row.gain == pytest.approx((20, 20, 20))
    assert row.own["updates"][0] == pytest.approx(28) and row.touched == pytest.approx(6)
    assert cells(row)[6] == "28 [28, 28] (first 6)"


def test_intervals_are_paired_and_gains_must_be_clear():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 5, (1, 1, 40))
    rising = np.array([0.0, 1, 2])[None, :, None] + noise  # hard and easy utterances: cancels in the gain
    table = {
        "estoi": {
            "ssl_mse": curve(rising),
            "ssl_mse_pad": curve(rising),
            "x": curve(rng.normal(0, 1, (1, 3, 40))),
        }
    }
    trained = systems(ssl_mse="ssl_mse", ssl_mse_pad="ssl_mse_pad", x=None)
    mse, pad, other = summarise(table, trained, samples=200)
    assert mse.gain == pytest.approx((2, 2, 2), abs=1e-4)
    assert pad.earlier == pytest.approx(0.5)  # the same curve: always a tie
    assert other.own is None and other.gain[1] < 0
    assert cells(other)[6] == "no clear gain" and cells(other)[9].startswith("never")
    low, high = summarise(
        {"estoi": {"x": curve(rising + rng.normal(0, 1, rising.shape))}}, systems(x=None), samples=2000
    )[0].gain[1:]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(2 / 40), rel=0.4)
    with pytest.raises(DataError, match=r"fraction 1\.5: must be above 0"):
        summarise(table, trained, 1.5)


@dataclass(frozen=True)
class Loudness:
    """A recogniser whose words depend on the audio alone."""

    def settings(self):
        return {"backend": "loudness"}

    def transcribe(self, wav):
        return " ".join(["a"] * int(200 * np.abs(wav).mean()))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    convolutions = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    path = tmp_path_factory.mktemp("hubert")
    HubertModel(HubertConfig(**sizes, **convolutions)).save_pretrained(path)
    return f"transformers:{path}"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, upstream):
    """An initial model and two fine-tunings of three epochs, with what ESPnet's trainer leaves behind."""
    from torch.utils.tensorboard import SummaryWriter

    from espnet_posinv.enh.model_folder import INFERENCE
    from espnet_posinv.enh.nsnet2 import NSNet2Separator

    root = tmp_path_factory.mktemp("convergence")
    torch.manual_seed(0)
    model = NSNet2Separator(1, gru_size=12, linear_size=12)
    config = {**INFERENCE, "separator": "nsnet2", "separator_conf": {"gru_size": 12, "linear_size": 12}}

    def save(path, scale):
        torch.save({f"separator.{name}": scale * value for name, value in model.state_dict().items()}, path)

    (root / "nsnet2").mkdir()
    (root / "nsnet2/config.yaml").write_text(yaml.safe_dump(config))
    save(root / "nsnet2/model.pth", 1.0)
    for k, criterion in enumerate(("ssl_mse", "ssl_softdtw")):
        folder = root / f"{criterion}_hubert_seed1"
        folder.mkdir()
        item = {
            "name": criterion,
            "conf": {"upstream": upstream},
            "wrapper": "fixed_order",
            "wrapper_conf": {},
        }
        training = {
            "init_param": [f"{root}/nsnet2/model.pth"],
            "max_epoch": 3,
            "accum_grad": 2,
            "criterions": [item],
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config | training))
        for epoch in (1, 2, 3):
            save(folder / f"{epoch}epoch.pth", 1 + epoch * (1 + k) / 10)
        with SummaryWriter(str(folder / "tensorboard/train")) as writer:
            for epoch, at in (
                (1, 100.0),
                (2, 200.0),
                (2, 900.0),
                (3, 950.0),
            ):  # the second epoch was begun again
                writer.add_scalar("train_time", 9.0, 20 * epoch, walltime=at - 1)  # of the last interval
                writer.add_scalar("train_time", 0.5 * epoch if at != 200 else 7.0, 20 * epoch, walltime=at)
                writer.add_scalar("iter_epoch", epoch, 20 * epoch, walltime=at)
    data = root / "dev"
    data.mkdir()
    rng = np.random.default_rng(0)
    lists = {"wav.scp": "", "spk1.scp": "", "text": ""}
    for k in range(3):
        n = 12000 + 1000 * k
        clean = 0.2 * np.sin(2 * np.pi * 300 * (k + 1) * np.arange(n) / 16000) * np.hanning(n)
        for name, signal in (("wav", clean + 0.05 * rng.standard_normal(n)), ("spk1", clean)):
            path = data / f"u{k}_{name}.wav"
            soundfile.write(path, signal, 16000)
            lists[f"{name}.scp"] += f"u{k} {path}\n"
        lists["text"] += f"u{k} {'a ' * (k + 2)}\n"
    for name, text in lists.items():
        (data / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def experiments(recipe):
    return sorted(recipe.glob("*_seed1"))


@pytest.fixture(scope="module")
def measured(recipe, experiments, upstream):
    return measure(experiments, recipe / "dev", Measures(Loudness(), "en", upstream))


def test_points(recipe, experiments):
    found = points(experiments[0])
    assert [point.checkpoint.name for point in found] == [
        "model.pth",
        "1epoch.pth",
        "2epoch.pth",
        "3epoch.pth",
    ]
    assert [point.updates for point in found] == [0, 10, 20, 30]  # two batches an update
    assert [point.seconds for point in found] == pytest.approx([0, 5, 15, 30])


def test_measured_values(recipe, measured, upstream):
    from espnet_posinv.criterions.batch import batch_info
    from espnet_posinv.criterions.ssl_mse_pad import SSLMSEPadLoss
    from espnet_posinv.enh.enhancer import Enhancer
    from espnet_posinv.scoring.metrics import si_sdr

    assert list(measured) == ["ssl_mse_hubert_seed1", "ssl_softdtw_hubert_seed1"]
    point, scores = measured["ssl_softdtw_hubert_seed1"][2]
    assert sorted(scores) == ["u0", "u1", "u2"]
    noisy, clean = (soundfile.read(recipe / f"dev/u1_{name}.wav")[0] for name in ("wav", "spk1"))
    enhanced = Enhancer.from_pretrained(point.checkpoint.parent, "2epoch.pth")(noisy.astype(np.float32))
    row = scores["u1"]
    assert row["si_sdr"] == pytest.approx(si_sdr(clean, enhanced.astype(float))["si_sdr"], abs=1e-3)
    heard = len(Loudness().transcribe(enhanced).split())
    assert (row["I"] - row["D"], row["S"], row["N"]) == (heard - 3, 0, 3)
    ref, inf = torch.from_numpy(clean.astype(np.float32))[None], torch.from_numpy(enhanced)[None]
    with torch.no_grad(), batch_info(utt_ids=["u1"]):
        expected = float(SSLMSEPadLoss(upstream)(ref, inf))
    assert row["ssl_mse_pad"] == pytest.approx(expected, rel=1e-4)
    assert {"estoi", "ssl_mse", "ssl_softdtw"} < row.keys()
    # Both begin with the same model
    first, second = (curve[0][1] for curve in measured.values())
    assert first == second and first != scores


def test_only_what_changed_is_measured_again(recipe, experiments, measured, upstream):
    records = sorted(recipe.glob("*/convergence/*.json"))
    assert len(records) == 7

    def times():
        return {path: path.stat().st_mtime_ns for path in records}

    measures = Measures(Loudness(), "en", upstream)
    before = times()
    assert measure(experiments, recipe / "dev", measures) == measured
    assert times() == before
    changed = experiments[1] / "3epoch.pth"
    content = changed.read_bytes()
    changed.write_bytes((experiments[1] / "1epoch.pth").read_bytes())
    try:
        again = measure(experiments, recipe / "dev", measures)
    finally:
        changed.write_bytes(content)
    assert [path for path in records if times()[path] != before[path]] == [
        experiments[1] / "convergence/3epoch.json"
    ]
    scores, expected = again[experiments[1].name][3][1], measured[experiments[1].name][1][1]
    for utterance, row in scores.items():
        assert row == pytest.approx(expected[utterance], rel=1e-4)


def test_the_device_is_no_part_of_what_decides_the_numbers(recipe, experiments, upstream):
    kept = measure(experiments, recipe / "dev", Measures(Loudness(), "en", upstream))
    # "meta" computes nothing, so whatever were measured there again would fail
    elsewhere = Measures(Loudness(), "en", upstream, device="meta")
    assert measure(experiments, recipe / "dev", elsewhere) == kept


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_same_numbers_on_a_gpu(recipe, experiments, measured, upstream):
    record = experiments[1] / "convergence/3epoch.json"
    record.unlink()
    again = measure(experiments, recipe / "dev", Measures(Loudness(), "en", upstream, device="cuda"))
    expected = measured[experiments[1].name][3][1]
    for utterance, row in again[experiments[1].name][3][1].items():
        assert row == pytest.approx(expected[utterance], rel=1e-3)


def test_report_of_measurements(recipe, experiments, measured, tmp_path):
    from matplotlib import image

    trained = read_systems(experiments)
    seeds, table = curves(measured, trained)
    names = ["wer", "si_sdr", "estoi", "ssl_mse", "ssl_mse_pad", "ssl_softdtw"]
    assert seeds == ["1"] and list(table) == names
    assert "One seed: the intervals do not include the variation between seeds." in explanation(0.9, seeds)[1]
    folder = tmp_path / "convergence"
    write_convergence(folder, measured, trained, setting="Here.", title="Title")
    (section,) = read_sections(tmp_path)
    panels, rows = section.blocks[-2:]
    assert len(rows.rows) == 12 and {len(row) for row in rows.rows} == {len(rows.head)}
    assert isinstance(panels, Panels) and len(panels.panels) == 12
    wer = panels.panels[0].lines[0]
    scores = measured["ssl_mse_hubert_seed1"][3][1].values()
    expected = 100 * sum(s["S"] + s["D"] + s["I"] for s in scores) / sum(s["N"] for s in scores)
    assert (wer.label, wer.colour, wer.x) == ("ssl_mse_hubert", "ssl_mse", [0, 10, 20, 30])
    assert wer.y[3] == pytest.approx(expected) and wer.low is None
    text = (folder / "convergence.md").read_text()
    assert text.startswith("# Title\n") and "| SI-SDR, dB | ssl_softdtw_hubert |" in text
    assert min(image.imread(folder / "convergence.png").shape[:2]) > 600


def test_undefined_values_leave_an_utterance_out(experiments, measured):
    copy = {name: [(point, deepcopy(scores)) for point, scores in curve] for name, curve in measured.items()}
    copy["ssl_mse_hubert_seed1"][1][1]["u2"]["si_sdr"] = None
    _, table = curves(copy, read_systems(experiments))
    assert {c.errors.shape for c in table["si_sdr"].values()} == {(1, 4, 2)}
    assert {c.errors.shape for c in table["wer"].values()} == {(1, 4, 3)}


def test_errors(recipe, experiments, measured, tmp_path, upstream):
    trained = read_systems(experiments)
    assert upstream_of(trained.values()) == upstream
    first = trained["ssl_mse_hubert"].trainings[0]
    trained["ssl_mse_hubert"].trainings.append(first._replace(name="ssl_mse_hubert_seed2"))
    with pytest.raises(DataError, match=r"seeds differ.*ssl_mse_hubert: 1 2; ssl_softdtw_hubert: 1"):
        curves(measured, trained)
    lost = experiments[0] / "2epoch.pth"
    os.rename(lost, tmp_path / "kept")
    try:
        with pytest.raises(DataError, match=r"2epoch.pth not kept; train again with keep_nbest_models: 3"):
            points(experiments[0])
    finally:
        os.rename(tmp_path / "kept", lost)
    with pytest.raises(DataError, match=r"init_param is \[\]; a curve begins at one initial model"):
        points(recipe / "nsnet2")
    data = tmp_path / "dev"
    data.mkdir()
    for name in ("wav.scp", "spk1.scp", "text"):
        lines = (recipe / "dev" / name).read_text().splitlines(True)
        (data / name).write_text("".join(lines[: 2 if name == "text" else 3]))
    with pytest.raises(DataError, match=r"1 ids are in one of wav\.scp and text only, as u2"):
        measure(experiments, data, Measures(Loudness(), "en", upstream))
