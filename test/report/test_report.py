import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from matplotlib import image

from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.report.experiment import Places, load
from espnet_posinv.report.markdown import write_report
from espnet_posinv.report.scores import Cell, load_conditions, load_wer
from espnet_posinv.report.systems import baseline_of, family, read_systems
from espnet_posinv.report.tables import data_section, lps_section
from espnet_posinv.report.training import read_training
from espnet_posinv.scoring.wer import score_files

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "golf", "hotel", "kilo", "lima", "oscar"]
MARKS = {"whisper-base": ["a", "b", "c"], "whisper-tiny.en": ["d", "e", "f"]}  # of weights
# probability of a wrong word, by system and test set
RATES = {
    "noisy": (0.02, 0.2, 0.3),
    "nsnet2": (0.04, 0.35, 0.35),
    "ssl_mse_whisper_seed1": (0.04, 0.2, 0.3),
    "ssl_mse_whisper_seed2": (0.04, 0.2, 0.3),
    "ssl_softdtw_whisper_seed1": (0.03, 0.15, 0.28),
    "ssl_softdtw_whisper_seed2": (0.03, 0.15, 0.28),
}
SETS = ["test_clean", "test_seen", "test_unseen"]
UPSTREAM = "whisper:../downloads/whisper-tiny.en"


def write_config(folder, criterion, *losses, seed=1, lr=6e-6, **conf):
    conf = {"name": criterion, "conf": {"upstream": UPSTREAM} | conf}
    config = {"criterions": [conf, *losses], "seed": seed, "optim_conf": {"lr": lr}}
    config |= {"scheduler_conf": {"warmup_steps_list": [0, 9, 90], "warmup_lr_list": [0.0, 3e-4, 6e-6]}}
    config |= {"init_param": ["exp/nsnet2/model.pth"], "output_dir": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def write_training(folder, seed, criterion, values):
    from torch.utils.tensorboard import SummaryWriter

    write_config(folder, criterion, seed=seed)
    for part, offset in (("train", 0.1), ("valid", 0.0)):
        with SummaryWriter(str(folder / "tensorboard" / part)) as writer:
            for k, value in enumerate(values):
                writer.add_scalar("loss", value + offset, 25 * (k + 1), walltime=1000.0 + 60 * k)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Scores of two recognisers, conditions and trainings, laid out as the recipe lays them out."""
    root = tmp_path_factory.mktemp("recipe")
    rng = np.random.default_rng(0)
    ids = [f"utt{k:02d}" for k in range(60)]
    for s, test_set in enumerate(SETS):
        data = root / "dump" / test_set
        data.mkdir(parents=True)
        text = {i: rng.choice(WORDS, 8) for i in ids}
        (data / "text").write_text("".join(f"{i} {' '.join(text[i])}\n" for i in ids))
        if test_set == "test_clean":
            (data / "utt2snr").write_text("".join(f"{i} inf\n" for i in ids))
        else:
            (data / "utt2noise").write_text(
                "".join(f"{i} {('fire', 'babble')[k % 2]}\n" for k, i in enumerate(ids))
            )
            (data / "utt2snr").write_text("".join(f"{i} {k % 10 + 0.5}\n" for k, i in enumerate(ids)))
        for recogniser in ("whisper-base", "whisper-tiny.en"):
            for system, rates in RATES.items():
                folder = root / "exp/decoded" / recogniser / system / test_set
                folder.mkdir(parents=True)
                wrong = {i: [w if rng.random() > rates[s] else "zulu" for w in text[i]] for i in ids}
                (folder / "text").write_text("".join(f"{i} {' '.join(wrong[i])}\n" for i in ids))
                settings = {"model": recogniser, "model_sha256": "0123456789abcdef", "beam_size": 1}
                settings |= {"lm": "", "words": None}
                settings["weights"] = MARKS[recogniser]
                (folder / "decode.json").write_text(json.dumps({"recogniser": settings}))
                output = root / f"exp/scores/{recogniser}/{system}/{test_set}.json"
                score_files(data / "text", folder / "text", output, language="en", missing="error")
        for system in RATES:
            path = root / f"exp/scores/signal/{system}/{test_set}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            clean = test_set == "test_clean" and system == "noisy"
            scores = {i: {"pesq": 2 + k / 60, "si_sdr": None if clean else 10.0} for k, i in enumerate(ids)}
            path.write_text(json.dumps({"utterances": scores}))
    for seed in (1, 2):
        for criterion in ("ssl_mse", "ssl_softdtw"):
            values = [1 / (k + seed) for k in range(4)]
            write_training(root / f"exp/{criterion}_whisper_seed{seed}", seed, criterion, values)
    return root


@pytest.fixture(autouse=True)
def marks(monkeypatch):
    known = {UPSTREAM: MARKS["whisper-tiny.en"]}
    monkeypatch.setattr("espnet_posinv.asr.provenance.marks", known.get)


@pytest.fixture
def places(recipe):
    return Places(recipe / "exp/scores", recipe / "dump", recipe / "exp", SETS, "test_clean")


def table_rows(text, heading):
    """Cells of the first table behind a heading, by the system in the first column."""
    lines = text[text.index(heading) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0]] = cells[1:]
    return rows


def test_criterion_and_encoder_are_read_from_the_configuration_whatever_the_name(tmp_path):
    names = {"mine_seed2": "ssl_softdtw", "a": "ssl_sinkhorn", "ssl_mse_x": "ssl_mse", "pad": "ssl_mse_pad"}
    folders = [write_config(tmp_path / name, criterion) for name, criterion in names.items()]
    (tmp_path / "ssl_mse_nothing").mkdir()
    (tmp_path / "ssl_mse_nothing/config.yaml").write_text("separator: nsnet2")
    systems = read_systems([*folders, tmp_path / "ssl_mse_nothing"], ["noisy"])
    assert list(systems) == ["noisy", "ssl_mse_nothing", "ssl_mse_x", "pad", "mine", "a"]
    assert [s.criterion for s in systems.values()][1:] == [
        None,
        "ssl_mse",
        "ssl_mse_pad",
        "ssl_softdtw",
        "ssl_sinkhorn",
    ]
    assert systems["a"].colour == "ssl_sinkhorn" and systems["ssl_mse_nothing"].colour == "pretrained"
    assert (systems["mine"].upstream, systems["mine"].start) == (UPSTREAM, "nsnet2")
    assert family("ssl_mse_pad_whisper_seed12") == "ssl_mse_pad_whisper" and family("nsnet2") == "nsnet2"


def test_every_encoder_of_a_loss_counts_as_part_of_the_training(recipe, places, tmp_path):
    other = {"name": "ssl_mse", "conf": {"upstream": "transformers:other/hubert"}}
    (system,) = read_systems([write_config(tmp_path / "sum", "ssl_mse", other)]).values()
    assert system.upstreams == [UPSTREAM, "transformers:other/hubert"]
    # The recogniser's model is that of the second
    second = {"name": "ssl_mse", "conf": {"upstream": UPSTREAM}}
    folder = write_config(tmp_path / "swapped", "ssl_mse", second, upstream="transformers:other/hubert")
    experiment = load(places)
    experiment.systems |= read_systems([folder])
    assert "swapped" in experiment.took_part("whisper-tiny.en")[0]


def test_the_baseline_is_ssl_mse_with_the_nearest_settings(tmp_path):
    snr = {"name": "snr", "conf": {}}
    write_config(tmp_path / "mse", "ssl_mse")
    write_config(tmp_path / "slow", "ssl_mse", lr=1e-5)
    write_config(tmp_path / "other", "ssl_mse", upstream="whisper:base")
    write_config(tmp_path / "softdtw_snr", "ssl_softdtw", snr, gamma=1.0)
    write_config(tmp_path / "softdtw_slow", "ssl_softdtw", lr=1e-5)
    write_config(tmp_path / "lone", "ssl_softdtw", upstream="s3prl:x")
    systems = read_systems(tmp_path.iterdir())
    found = {name: baseline_of(system, systems.values()) for name, system in systems.items()}
    assert found["softdtw_snr"].name == "mse" and found["softdtw_slow"].name == "slow"
    assert systems["softdtw_snr"].differences(found["softdtw_snr"]) == ["snr loss"]
    assert systems["softdtw_slow"].differences(systems["slow"]) == []
    assert systems["softdtw_slow"].differences(systems["mse"]) == ["optim_conf"]
    assert found["mse"] is systems["mse"] and found["lone"] is None


def test_seeds_are_averaged(recipe):
    table = load_wer(recipe / "exp/scores/whisper-base", SETS)
    cell = table["ssl_mse_whisper"]["test_seen"]
    assert cell.seeds == 2
    rates = []
    for seed in (1, 2):
        path = recipe / f"exp/scores/whisper-base/ssl_mse_whisper_seed{seed}/test_seen.json"
        rates.append(json.loads(path.read_text())["total"]["wer"])
    assert cell.wer()[0] == pytest.approx(np.mean(rates))
    assert sum(cell.counts.values()) == pytest.approx(cell.errors.sum())


def test_conditions(recipe, places):
    cell = load_wer(recipe / "exp/scores/whisper-base", SETS)["noisy"]["test_seen"]
    conditions = load_conditions(places.data, "test_seen", cell.ids)
    assert list(conditions["noise"][:3]) == ["fire", "babble", "fire"]
    assert list(conditions["SNR"][:7]) == ["0 to 5 dB"] * 5 + ["5 to 10 dB"] * 2
    assert set(load_conditions(places.data, "test_clean", cell.ids)["SNR"]) == {"inf dB"}
    with pytest.raises(DataError, match="utt2noise: 1 scored utterances are missing, as other"):
        load_conditions(places.data, "test_seen", ["other"])


def test_fixed_snrs_are_named_by_value_and_drawn_ones_by_band(tmp_path):
    def names(snrs):
        (tmp_path / "test").mkdir(exist_ok=True)
        ids = [f"u{k:03d}" for k in range(len(snrs))]
        (tmp_path / "test/utt2snr").write_text("".join(f"{i} {x}\n" for i, x in zip(ids, snrs, strict=True)))
        return list(load_conditions(tmp_path, "test", ids)["SNR"])

    assert names([5, 10, "20.0", -2.5, "inf"]) == ["5 dB", "10 dB", "20 dB", "-2.5 dB", "inf dB"]
    drawn = [k / 10 for k in range(101)]
    bands = names(drawn)
    assert bands[:50] == ["0 to 5 dB"] * 50 and bands[50:] == ["5 to 10 dB"] * 51
    assert names([*drawn, "-0.0"])[-1] == "0 to 5 dB"
    # 10 is the end of the last band only where nothing lies above it
    assert names([*drawn, 10.1, "inf"])[-3:] == ["10 to 15 dB", "10 to 15 dB", "inf dB"]
    with pytest.raises(DataError, match="SNR 'loud' of u001 is not a number"):
        names([1, "loud"])


def test_report(recipe, places, tmp_path):
    write_report(load(places), tmp_path / "RESULTS.md", title="Mini")
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.startswith("# Mini\n")
    base = text[text.index("### whisper-base") : text.index("### whisper-tiny.en")]
    tiny = text[text.index("### whisper-tiny.en") :]
    settings = "Settings: beam_size 1, model whisper-base, model_sha256 0123456789ab."
    assert f"those in the loss of nsnet2, are not here to be compared. {settings}\n" in base
    assert (
        "Took part in training: its encoder is in the loss of ssl_mse_whisper, ssl_softdtw_whisper, "
        "or its encoder was the teacher of the encoder in the loss. Settings: beam_size 1"
    ) in tiny

    noisy = json.loads((recipe / "exp/scores/whisper-base/noisy/test_seen.json").read_text())["total"]
    interval = noisy["interval95"]
    rows = table_rows(base, "### whisper-base")
    assert list(rows) == ["noisy", "nsnet2", "ssl_mse_whisper", "ssl_softdtw_whisper"]
    expected = f"{noisy['wer']:.1f} [{interval['low']:.1f}, {interval['high']:.1f}]"
    assert rows["noisy"][2] == f"{expected} ({noisy['S']} / {noisy['D']} / {noisy['I']})"
    assert rows["ssl_mse_whisper"][0] == "2"

    # nsnet2's rate is 0.35 against 0.2: worse beyond doubt, so bold and positive
    against_noisy = table_rows(base, "Difference to noisy")
    assert "noisy" not in against_noisy
    assert re.fullmatch(r"\*\*\+1\d\.\d \[\+\d+\.\d, \+\d+\.\d\]\*\*", against_noisy["nsnet2"][1])
    assert list(table_rows(base, "Difference to ssl_mse through the same encoder")) == ["ssl_softdtw_whisper"]
    assert "exp has no config.yaml of them: nsnet2." in base
    against_pretrained = table_rows(base, "Difference to nsnet2")
    assert against_pretrained["ssl_softdtw_whisper"][1].startswith("**-")
    assert "test_seen by noise:" in base and "babble (240 words)" in base
    assert "0 to 5 dB (240 words)" in base
    assert "test_clean by noise" not in base
    assert table_rows(text, "test_clean:")["noisy"][1] == "- (60 undefined)"
    assert table_rows(text, "test_seen:\n\n| system | PESQ")["noisy"][1].startswith("10.0 [10.0, 10.0]")
    training = table_rows(text, "## Training")
    assert training["ssl_mse_whisper_seed1"][:6] == [
        "ssl_mse",
        "whisper-tiny.en",
        "0.0003",  # the peak of the schedule
        "1",
        "100",
        "0.25 (100)",
    ]
    assert training["ssl_mse_whisper_seed1"][6] == "4.0"  # minutes
    assert re.search(r"\| espnet \| \d{6}", text)

    for name in ("wer.png", "training.png"):
        pixels = image.imread(tmp_path / "images" / name)
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20, "nothing was drawn"
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "RESULTS.md",
        "training.png",
        "wer.png",
    ]


def test_sections_over_some_utterances_say_how_many(places, tmp_path):
    places.scores = shutil.copytree(places.scores, tmp_path / "scores")
    for path in places.scores.glob("*/*/test_seen.json"):
        if path.parts[-3] != "whisper-base":
            content = json.loads(path.read_text())
            content["utterances"] = dict(list(content["utterances"].items())[:20])
            path.write_text(json.dumps(content))
    write_report(load(places), tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    tiny = text[text.index("### whisper-tiny.en") :]
    assert "in the loss. Utterances: 20 of 60 in test_seen. Settings: " in tiny
    assert "\ntest_seen (20 of 60 utterances):\n\n| system | PESQ" in tiny
    assert text.count(" of 60") == 2


def test_an_imported_model_has_a_configuration_and_no_curves(tmp_path):
    with pytest.raises(DataError, match=r"no config\.yaml; not an experiment of ESPnet's trainer"):
        read_training(tmp_path)
    (tmp_path / "config.yaml").write_text("separator: nsnet2\n")
    found = read_training(tmp_path)
    assert found.config == {"separator": "nsnet2"} and found.valid.updates == [] and found.minutes is None


def test_resumed_training_counts_an_epoch_once(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    write_training(tmp_path, 0, "ssl_mse", [3.0, 2.0])
    with SummaryWriter(str(tmp_path / "tensorboard/valid")) as writer:
        writer.add_scalar("loss", 1.5, 50, walltime=5000.0)
        writer.add_scalar("loss", 1.0, 75, walltime=5060.0)
    valid = read_training(tmp_path).valid
    assert valid.updates == [25, 50, 75]
    assert valid.values == pytest.approx([3.0, 1.5, 1.0])


def test_other_utterances_are_refused(recipe, places, tmp_path):
    scores = tmp_path / "scores"
    shutil.copytree(places.scores, scores)
    path = scores / "whisper-base/nsnet2/test_seen.json"
    content = json.loads(path.read_text())
    content["utterances"].pop("utt00")
    path.write_text(json.dumps(content))
    places.scores = scores
    with pytest.raises(DataError, match="scored on different utterances or transcripts; score them again"):
        load(places)
    path.write_text('{"total"')
    with pytest.raises(DataError, match=r"test_seen.json: no scores .*line 1.* delete it and score again"):
        load(places)


def test_command(places, tmp_path, capsys):
    from espnet_posinv.cli import command

    main = command("report")

    options = ["--data-dir", str(places.data), "--exp-dir", str(places.experiments)]
    options += ["--test-sets", " ".join(SETS), "--output", str(tmp_path / "R.md")]
    main(["--scores-dir", str(places.scores), *options])
    assert (tmp_path / "R.md").exists()
    with pytest.raises(SystemExit, match="no scores of test_clean test_seen test_unseen; run stage 8"):
        main(["--scores-dir", str(tmp_path), *options])


def test_groups_and_languages_are_conditions_where_there_are_several(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    (folder / "utt2group").write_text("a sentences\nb voices\nc voices\n")
    (folder / "utt2lang").write_text("a cs\nb cs\nc cs\n")
    found = load_conditions(tmp_path, "test", ["a", "c"])
    assert {name: list(values) for name, values in found.items()} == {"group": ["sentences", "voices"]}
    assert load_conditions(tmp_path, "test", ["b", "c"]) == {}


@pytest.mark.parametrize("unit", ["phones", "characters", "words"])
def test_the_test_sets_table_names_what_it_counts(tmp_path, unit):
    """Phones of the first recogniser once stood under "words"."""
    cell = Cell(["a", "b"], np.zeros(2), np.array([7.0, 5.0]), {}, 1, None, unit)
    places = SimpleNamespace(data=tmp_path)
    section = data_section(SimpleNamespace(words={"rec": {"noisy": {"test": cell}}}, places=places))
    (table,) = section.blocks
    assert table.head[:3] == ["set", "utterances", unit] and table.rows[0][:3] == ["test", "2", "12"]


def test_lps_is_what_the_phones_of_clean_speech_leave(tmp_path):
    heard = {"u1": "a b c d", "u2": "a b c d e f"}
    for system, text in {"noisy": heard, "nsnet2": {"u1": "a b c", "u2": "a x c d e f"}}.items():
        for name, reference in (("per", {"u1": "a b c d", "u2": "a b"}), ("lps/per", heard)):
            paths = [tmp_path / f"{side}.txt" for side in ("ref", "hyp")]
            for path, texts in zip(paths, (reference, text), strict=True):
                path.write_text("".join(f"{i} {t}\n" for i, t in texts.items()))
            output = tmp_path / "scores" / name / system / "clean.json"
            score_files(*paths, output, language="en", missing="error", unit="phones")
    experiment = load(Places(tmp_path / "scores", tmp_path, tmp_path / "exp", ["clean"], "clean"))
    assert list(experiment.words) == ["per"]  # LPS is no recogniser
    rows = {row[0]: row[1].split()[0] for row in lps_section(experiment).blocks[1].rows}
    assert rows == {"noisy": "100.0", "nsnet2": "80.0"}  # a deletion and a substitution among ten phones
