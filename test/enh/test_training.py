"""ESPnet's own trainer with our criterions: lengths, ids, checkpoints, resumption, several processes."""

import argparse
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.enh.model import PosinvEnhancementModel
from espnet_posinv.enh.task import PosinvEnhancementTask

CRITERIONS = {
    "ssl_softdtw": {},
    "ssl_mse_pad": {"share": [0.0, 0.5]},
    "ssl_mse": {"name": "ssl_mse_conv", "layers": "conv"},
    "si_snr": {},
}


def train(config, data, out, *more):
    PosinvEnhancementTask.main(cmd=["--config", str(config), *data, "--output_dir", str(out), *more])
    return out


def close(a, b, rel=1e-5):
    assert a.keys() == b.keys()
    for key in a:
        assert a[key] == pytest.approx(b[key], rel=rel, abs=1e-7), key


@pytest.fixture(scope="module")
def trained(config, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return train(config(folder / "train.yaml", CRITERIONS, max_epoch=3), data, folder / "exp")


def test_statistics_of_every_criterion_are_reported(trained, history):
    stats = history(trained)
    for epoch in (1, 2, 3):
        reported = stats[epoch, "valid"]
        assert {"ssl_softdtw", "ssl_softdtw_speed", "ssl_mse_pad_left", "ssl_mse_conv", "si_snr_loss"} <= set(
            reported
        )
    lefts = [stats[epoch, "train"]["ssl_mse_pad_left"] for epoch in (1, 2, 3)]
    assert len(set(lefts)) == 3  # other draws in every epoch
    assert len({stats[epoch, "valid"]["ssl_mse_pad_left"] for epoch in (1, 2, 3)}) == 1
    assert stats[3, "train"]["loss"] < stats[1, "train"]["loss"]


def test_nothing_of_the_encoder_is_saved(trained):
    state = torch.load(trained / "3epoch.pth", weights_only=True)
    assert {name.split(".")[0] for name in state} == {"separator"}
    checkpoint = torch.load(trained / "checkpoint.pth", weights_only=False)
    (group,) = checkpoint["optimizers"][0]["param_groups"]
    assert len(group["params"]) == len(state)


def test_killed_and_resumed_training_repeats_itself(trained, config, data, tmp_path, history):
    """kill -9 in the middle of an epoch, --resume: the losses and the draws of the undisturbed run."""
    path = config(tmp_path / "train.yaml", CRITERIONS, max_epoch=3)
    command = [
        sys.executable,
        "-m",
        "espnet_posinv",
        "-m",
        "espnet2.bin.enh_train",
        "--config",
        str(path),
        *data,
    ]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen([*command, "--output_dir", str(tmp_path / "exp")], stdout=log, stderr=log)
        while not (tmp_path / "exp/checkpoint.pth").exists():
            assert run.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.02)
        time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert not (tmp_path / "exp/3epoch.pth").exists(), "killed too late to test anything"
    train(path, data, tmp_path / "exp", "--resume", "true")
    undisturbed, resumed = history(trained), history(tmp_path / "exp")
    for epoch in (1, 2, 3):
        for part in ("train", "valid"):
            close(resumed[epoch, part], undisturbed[epoch, part])


SPAWNER = '''
"""A tool that spawns its workers as ESPnet does on several GPUs, here two on the CPU."""
import multiprocessing

import torch
from espnet2.tasks.enh import EnhancementTask


def work(main_worker, args):
    main_worker(args)
    assert multiprocessing.get_start_method() == "fork", "readers import everything again in each epoch"


def main():
    args = EnhancementTask.get_parser().parse_args()
    context = torch.multiprocessing.get_context("spawn")
    children = []
    for rank in range(2):
        local = type(args)(**vars(args))
        local.dist_rank, local.dist_world_size, local.dist_backend, local.distributed = rank, 2, "gloo", True
        local.version, local.local_rank = "test", rank
        children.append(context.Process(target=work, args=(EnhancementTask.main_worker, local)))
    for child in children:
        child.start()
    for child in children:
        child.join()
    raise SystemExit(max(abs(child.exitcode) for child in children))
'''


def test_two_spawned_processes_equal_one_with_the_whole_batch(config, data, tmp_path, history):
    criterions = {"ssl_softdtw": {}, "ssl_mse_pad": {"share": [0.0, 0.5]}}
    path = config(tmp_path / "train.yaml", criterions, batch_type="unsorted", max_epoch=2, num_workers=1)
    one = train(path, data, tmp_path / "one")
    (tmp_path / "spawner.py").write_text(SPAWNER)
    command = [sys.executable, "-m", "espnet_posinv", "-m", "spawner", "--config", str(path), *data]
    address = f"tcp://localhost:{20000 + os.getpid() % 10000}"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    two = tmp_path / "two"
    run = subprocess.run(
        [*command, "--output_dir", str(two), "--dist_init_method", address],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    for epoch in (1, 2):
        for part in ("train", "valid"):
            a, b = history(one)[epoch, part], history(two)[epoch, part]
            for key in ("loss", "ssl_softdtw", "ssl_softdtw_speed", "ssl_mse_pad_left"):
                assert a[key] == pytest.approx(b[key], rel=1e-3), (epoch, part, key)
    first, second = (torch.load(exp / "2epoch.pth", weights_only=True) for exp in (one, two))
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-2, atol=1e-4)


def build(config, tmp_path, criterions, **changes):
    path = config(tmp_path / "c.yaml", criterions, **changes)
    args = PosinvEnhancementTask.get_parser().parse_args(
        ["--config", str(path), "--output_dir", str(tmp_path)]
    )
    torch.manual_seed(0)
    return PosinvEnhancementTask.build_model(args)


def batch(lengths=(9000, 7000)):
    torch.manual_seed(1)
    wav = torch.zeros(2, 2, max(lengths))
    for b, n in enumerate(lengths):
        wav[:, b, :n] = 0.1 * torch.randn(2, n)
    return wav[0], wav[1], torch.tensor(lengths)


def test_true_lengths_reach_the_criterion(config, tmp_path, hubert):
    model = build(config, tmp_path, {"ssl_mse": {}})
    assert isinstance(model, PosinvEnhancementModel)
    mix, ref, lengths = batch()
    _, stats, _ = model(mix, lengths, speech_ref1=ref, utt_id=["a", "b"])
    enhanced = model.forward_enhance(mix, lengths)[0][0]
    criterion = SSLMSELoss(hubert)
    alone = [
        criterion(ref[b : b + 1, :n], enhanced[b : b + 1, :n], lengths[b : b + 1])
        for b, n in enumerate(lengths)
    ]
    assert stats["ssl_mse"].item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-4)
    full = criterion(ref, enhanced, torch.tensor([9000, 9000])).mean().item()
    assert stats["ssl_mse"].item() != pytest.approx(full, rel=1e-3)


def test_chunks_without_lengths_are_full(config, tmp_path, caplog):
    """ESPnet's chunk iterator passes no lengths: all chunks are full, so nothing is guessed or warned of."""
    model = build(config, tmp_path, {"ssl_mse": {}})
    mix, ref, _ = batch((9000, 9000))
    _, stats, _ = model(mix, speech_ref1=ref, utt_id=["a", "a"])
    _, given, _ = model(mix, torch.tensor([9000, 9000]), speech_ref1=ref, utt_id=["a", "a"])
    assert stats["ssl_mse"] == given["ssl_mse"] and "padding counts" not in caplog.text


def test_a_chunk_iterator_trains(config, data, tmp_path, history):
    out = train(
        config(
            tmp_path / "c.yaml", {"ssl_softdtw": {}}, iterator_type="chunk", chunk_length=5000, max_epoch=1
        ),
        data,
        tmp_path / "exp",
    )
    stats = history(out)[1, "train"]
    assert stats["ssl_softdtw_frames"] == 15  # floor((5000 - 400) / 320) + 1 in every chunk


def test_tempo_changed_references_of_the_data(config, corpus, data, tmp_path, history):
    extra = []
    for name in ("train", "valid"):
        extra += [f"--{name}_data_path_and_name_and_type", f"{corpus}/{name}/tempo.scp,perturbed_ref1,sound"]
    out = train(
        config(tmp_path / "c.yaml", {"ssl_softdtw": {"perturbed_ref": True}}, max_epoch=1),
        [*data, *extra],
        tmp_path / "exp",
    )
    assert history(out)[1, "train"]["ssl_softdtw_speed"] == pytest.approx(1 / 0.9, rel=1e-3)


@pytest.mark.parametrize("independent", [True, False])
def test_pit_solvers(config, tmp_path, caplog, independent):
    """With independent_perm the solver passes whole batches; without it passes single utterances."""
    model = build(config, tmp_path, {"si_snr": {}, "ssl_mse": {}})
    from espnet2.enh.loss.wrappers.pit_solver import PITSolver

    model.loss_wrappers = [
        PITSolver(w.criterion, independent_perm=independent or i == 0)
        for i, w in enumerate(model.loss_wrappers)
    ]
    mix, ref, lengths = batch()
    _, stats, _ = model(mix, lengths, speech_ref1=ref, utt_id=["a", "b"])
    assert torch.isfinite(stats["ssl_mse"])
    assert ("a PIT solver with independent_perm: false" in caplog.text) != independent


def test_unknown_keys_and_models_stop_before_training(config, data, tmp_path):
    with pytest.raises(TypeError, match="speed_factors"):
        build(config, tmp_path, {"ssl_softdtw": {"speed_factors": [1]}})
    path = config(tmp_path / "c.yaml", {"ssl_mse": {"upstream": "transformers:/nowhere/hubert"}})
    with pytest.raises(ValueError, match="transformers:/nowhere/hubert: there is no such folder"):
        train(path, data, tmp_path / "exp")


def test_the_task_is_espnets_with_one_more_input():
    from espnet2.tasks.enh import EnhancementTask

    for inference in (False, True):
        ours = PosinvEnhancementTask.optional_data_names(True, inference)
        assert set(ours) - set(EnhancementTask.optional_data_names(True, inference)) == {"perturbed_ref1"}
    assert isinstance(PosinvEnhancementTask.get_parser(), argparse.ArgumentParser)
