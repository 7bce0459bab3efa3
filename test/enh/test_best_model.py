"""A training that would keep no best model is refused at its start; one that keeps fewer says so."""

from types import SimpleNamespace

import pytest

from espnet_posinv.enh.best_model import check_best_model, reported_names


class MixITSolver(SimpleNamespace):
    name = "mixit"


def wrapper(name, cls=SimpleNamespace):
    return cls(criterion=SimpleNamespace(name=name))


def model(*wrappers, **fields):
    return SimpleNamespace(loss_wrappers=list(wrappers), **fields)


SEPARATION = model(wrapper("ssl_softdtw"), wrapper("si_snr_loss"))
JOINT = SimpleNamespace(enh_model=SEPARATION)
CATEGORIES = model(wrapper("ssl_softdtw"), categories={0: "1ch", 1: "2ch"})


def test_names():
    assert reported_names(SEPARATION)[0] == {"loss", "ssl_softdtw", "si_snr_loss"}
    assert reported_names(JOINT)[0] == {"loss", "loss_enh"}
    assert reported_names(model(wrapper("ssl_mse", MixITSolver)))[0] == {"loss", "ssl_mse_mixit"}
    assert reported_names(CATEGORIES, with_categories=True)[0] == {
        "loss",
        "ssl_softdtw_1ch",
        "ssl_softdtw_2ch",
    }
    assert reported_names(CATEGORIES)[0] == {"loss", "ssl_softdtw"}
    # data with categories, for a model that lists none (any extraction): once refused
    assert reported_names(model(wrapper("ssl_mse")), with_categories=True)[0] == {"loss", "ssl_mse"}


@pytest.mark.parametrize(
    ("trained", "name", "options"),
    [
        (SEPARATION, "si_snr", {}),  # it is si_snr_loss
        (SEPARATION, "ssl_sofdtw", {}),
        (JOINT, "ssl_softdtw", {}),
        (CATEGORIES, "ssl_softdtw", {"with_categories": True}),
        (model(wrapper("ssl_mse", MixITSolver)), "ssl_mse", {}),
    ],
)
def test_no_best_model_is_an_error(trained, name, options, caplog):
    with pytest.raises(ValueError, match=rf"'{name}'.* no best model would be kept"):
        check_best_model(trained, [["valid", name, "min"]], **options)
    check_best_model(trained, [["valid", name, "min"], ["valid", "loss", "min"]], **options)
    assert f"'{name}'" in caplog.text and "no model is kept as the best by it" in caplog.text


def test_what_is_reported_passes_in_silence(caplog):
    check_best_model(SEPARATION, [["valid", "ssl_softdtw", "min"], ["train", "ssl_softdtw_speed", "max"]])
    check_best_model(JOINT, [["valid", "acc", "max"], ["valid", "cer_ctc", "min"]])  # the recogniser's
    defaults = [[part, name, "min"] for part in ("train", "valid") for name in ("loss", "acc")]
    check_best_model(SEPARATION, defaults)
    assert not caplog.text


def test_a_training_is_refused_before_its_first_step(config, data, tmp_path):
    from espnet_posinv.enh.task import PosinvEnhancementTask

    path = config(tmp_path / "c.yaml", {"si_snr": {}}, best_model_criterion=[["valid", "si_snr", "max"]])
    with pytest.raises(ValueError, match="reports no such value, only loss, si_snr_loss"):
        PosinvEnhancementTask.main(cmd=["--config", str(path), *data, "--output_dir", str(tmp_path / "exp")])
    assert not (tmp_path / "exp/checkpoint.pth").exists()
