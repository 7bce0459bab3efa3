"""A training that is warned, or killed at a bad moment, ends as if nothing had happened."""

import os
import signal

import pytest
import torch

from espnet_posinv.enh import trainer
from espnet_posinv.enh.model import PosinvEnhancementModel
from espnet_posinv.enh.task import PosinvEnhancementTask

CRITERIONS = {"ssl_mse_pad": {"share": [0.0, 0.5]}}  # draws random numbers
SETTINGS = {"max_epoch": 2, "batch_size": 2, "scheduler": "warmuplr", "scheduler_conf": {"warmup_steps": 3}}


def train(config, data, out, *more):
    PosinvEnhancementTask.main(
        cmd=["--config", str(config), *data, "--output_dir", str(out), "--resume", "true", *more]
    )


@pytest.fixture(scope="module")
def undisturbed(config, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    path = config(folder / "train.yaml", CRITERIONS, **SETTINGS)
    train(path, data, folder / "exp")
    return path, folder / "exp"


@pytest.fixture
def warn_at(monkeypatch):
    """Send this process SIGUSR1 during the n-th call of the model, counted from 1; validation included."""
    monkeypatch.setattr(trainer, "_warned", False)

    def arm(n):
        forward, calls = PosinvEnhancementModel.forward, []

        def counted(self, *args, **kwargs):
            calls.append(1)
            if len(calls) == n:
                os.kill(os.getpid(), signal.SIGUSR1)
            return forward(self, *args, **kwargs)

        monkeypatch.setattr(PosinvEnhancementModel, "forward", counted)

    yield arm
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def same(a, b):
    """Whether two trainings ended in the same place, to the last bit."""
    for name in ("1epoch.pth", "2epoch.pth"):
        first, second = (torch.load(folder / name, weights_only=True) for folder in (a, b))
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), (name, key)
    states = [torch.load(folder / "checkpoint.pth", weights_only=False) for folder in (a, b)]
    moments = [[s["exp_avg_sq"] for s in state["optimizers"][0]["state"].values()] for state in states]
    assert all(torch.equal(x, y) for x, y in zip(*moments, strict=True))
    assert states[0]["schedulers"] == states[1]["schedulers"]
    for epoch in (1, 2):
        for part in ("train", "valid"):
            first, second = (state["reporter"]["stats"][epoch][part] for state in states)
            assert first.keys() == second.keys()
            for key in first:
                if "time" not in key:
                    assert first[key] == second[key], (epoch, part, key)
    assert os.readlink(a / "valid.loss.best.pth") == os.readlink(b / "valid.loss.best.pth")


# An epoch has 4 updates, then 2 batches of validation: the calls of the first are 1-4, 5-6.
@pytest.mark.parametrize("calls", [[1], [5], [9, 1]])
def test_warned_and_run_again_it_ends_the_same(undisturbed, data, tmp_path, warn_at, monkeypatch, calls):
    path, expected = undisturbed
    for call in calls:
        with monkeypatch.context(), pytest.raises(SystemExit) as leave:
            monkeypatch.setattr(trainer, "_warned", False)
            warn_at(call)
            train(path, data, tmp_path / "exp")
        assert leave.value.code == 99
        monkeypatch.undo()
    monkeypatch.setattr(trainer, "_warned", False)
    train(path, data, tmp_path / "exp")
    same(tmp_path / "exp", expected)
    assert not list((tmp_path / "exp").glob("interrupted*")) and not list((tmp_path / "exp").glob(".*.tmp"))


def test_a_stop_waits_for_the_update_that_gradients_are_gathered_for(config, data, tmp_path, warn_at):
    path = config(tmp_path / "train.yaml", {"si_snr": {}}, **{**SETTINGS, "max_epoch": 1}, accum_grad=2)
    warn_at(1)
    with pytest.raises(SystemExit):
        train(path, data, tmp_path / "exp")
    assert torch.load(tmp_path / "exp/interrupted.0.pth", weights_only=True)["batches_done"] == 2


def test_a_warning_of_the_last_validation_comes_too_late_to_matter(undisturbed, data, tmp_path, warn_at):
    path, expected = undisturbed
    warn_at(12)
    train(path, data, tmp_path / "exp")
    same(tmp_path / "exp", expected)


@pytest.mark.parametrize("name", ["checkpoint.pth", "latest.pth"])
def test_killed_while_an_epoch_is_written(undisturbed, data, tmp_path, monkeypatch, name):
    """ESPnet's own trainer leaves a torn file, or a checkpoint without its model."""
    path, expected = undisturbed
    out = tmp_path / "exp"

    class Killed(BaseException):
        pass

    save, link = torch.save, os.symlink

    def torn_save(value, file, *args, **kwargs):
        if (out / "1epoch.pth").exists() and name in os.path.basename(str(file)):
            with open(file, "wb") as stream:
                stream.write(b"torn")
            raise Killed
        save(value, file, *args, **kwargs)

    def no_link(target, *args, **kwargs):
        if name == "latest.pth" and str(target) == "2epoch.pth":
            raise Killed
        link(target, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn_save)
        patch.setattr(os, "symlink", no_link)
        with pytest.raises(Killed):
            train(path, data, out)
    train(path, data, out)
    same(out, expected)
