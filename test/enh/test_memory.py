"""What a step takes: counted bytes against sums by hand, and the plan that follows from them."""

import re
import time

import numpy as np
import pytest
import torch
import yaml

from espnet_posinv.enh.memory import CONTEXT, MIB, SLACK, PeakBytes, StepMemory, describe, measure

MEGA = torch.ones(2**18)  # 1 MiB, made outside


def test_peak_counts_what_lives_at_once():
    with PeakBytes() as counter:
        a = MEGA + 1  # 1
        b = a * 2  # 2
        del a
        c = b + 1  # 2 again: a is gone
        c += 1  # in place: nothing new
        d = c.view(-1, 2)[:4]  # a view: nothing new
        e = MEGA[:10]  # of something made outside
    assert counter.peak == 2 * MIB and counter.live == 2 * MIB
    del b, c, d, e
    assert counter.live == 0


def test_peak_counts_a_backward_pass():
    x = MEGA.clone().requires_grad_()
    with PeakBytes() as counter:
        y = x.exp()  # kept for backward
        z = y.sin()  # needs y, kept
        loss = z.sum()
        del y, z
        assert counter.live >= MIB
        loss.backward()
    assert 3 * MIB <= counter.peak <= 6 * MIB
    assert x.grad.nbytes <= counter.live <= x.grad.nbytes + 1024


def test_plan_solves_its_own_equation():
    def needed(t):
        return (5 + 100 * t + 2 * t**2) * MIB

    found = StepMemory(1000 * MIB, [2.0, 4.0, 8.0], [needed(t) for t in (2, 4, 8)])
    np.testing.assert_allclose(found.coefficients / MIB, [5, 100, 2], rtol=1e-6)
    assert found.predict(3, 6.0) / MIB == pytest.approx(1000 + 3 * needed(6) / MIB)
    memory = 24 * 2**30
    batch = found.fits(memory, 16.0)
    usable = (memory - CONTEXT) * (1 - SLACK)
    assert found.predict(batch, 16.0) <= usable < found.predict(batch + 1, 16.0)
    assert found.fits(1200 * MIB, 16.0) == 0
    text = describe("x.yaml", "cpu", found, memory, [16.0])
    assert f"| 16 | {batch} | {batch * 256000} |" in text
    assert "1000 MiB + batch x (5.0 + 100.0 T + 2.00 T^2) MiB" in text


class Step:
    """A step of known size: 30 MiB once, 5 + 100 T + 2 T^2 MiB an utterance."""

    def __call__(self, batch, seconds):
        """Nothing to prepare."""

    def static_bytes(self):
        return 1000 * MIB

    def step_bytes(self, batch, seconds):
        return int((30 + batch * (5 + 100 * seconds + 2 * seconds**2)) * MIB)


def test_what_a_step_makes_once_is_not_multiplied():
    found = measure(Step(), [2.0, 8.0, 4.0])
    assert found.shared == 30 * MIB
    assert found.predict(50, 6.0) / MIB == pytest.approx(1000 + 30 + 50 * (5 + 600 + 72))
    assert found.fits(CONTEXT + (1030 + 50 * 677.1) * MIB / (1 - SLACK), 6.0) == 50
    assert "a step takes 1030 MiB + batch x (5.0 + " in describe("x.yaml", "cpu", found, 2**33, [6.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--measure", "2", "2", "4"], r"--measure \[2.0, 2.0, 4.0\]: the fit needs three or more different"),
        (["--measure", "0", "1", "2"], "argument --measure: expected a number above 0, got '0'"),
        (["--check", "0"], "argument --check: expected a whole number above 0, got '0'"),
        (["--gpu-memory=-24"], "argument --gpu-memory: expected a number above 0, got '-24'"),
    ],
)
def test_options_without_meaning(options, message, capsys):
    from espnet_posinv.cli import command

    with pytest.raises(SystemExit):
        command("plan-batch")(["--config", "none.yaml", "--gpu-memory", "24", *options])
    assert re.search(message, capsys.readouterr().err)


def test_command_measures_a_real_configuration(tmp_path, capsys):
    """A batch of three takes what one utterance told."""
    from transformers import HubertConfig, HubertModel

    from espnet_posinv.cli import command

    main = command("plan-batch")

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    HubertModel(
        HubertConfig(**sizes, conv_dim=(8,) * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
    ).save_pretrained(tmp_path / "hubert")
    config = tmp_path / "train.yaml"
    config.write_text(f"""
encoder: same
decoder: same
separator: nsnet2
separator_conf: {{gru_size: 12, linear_size: 12}}
model_conf: {{loss_type: snr}}
criterions:
  - name: ssl_softdtw
    conf: {{upstream: "transformers:{tmp_path}/hubert"}}
    wrapper: fixed_order
    wrapper_conf: {{weight: 1.0}}
optim: adam
""")
    main(["--config", str(config), "--gpu-memory", "8", "--measure", "0.5", "1", "2", "--check", "3"])
    found = re.search(r"3 x 1 s: ([\d.]+) MiB measured, ([\d.]+) predicted", capsys.readouterr().out)
    measured, predicted = map(float, found.groups())
    assert measured == pytest.approx(predicted, rel=0.1) and measured > 1
    settings = yaml.safe_load(config.read_text())
    ours = {"posinv": {"criterions": settings.pop("criterions")}, "criterions": []}
    ours |= {"version": "202511", "required": ["output_dir"], "distributed": False}  # as ESPnet writes it
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings | ours))
    length = ["--gpu-memory", "8", "--measure", "0.5", "1", "2"]
    main(["--config", str(tmp_path / "config.yaml"), *length])
    assert f"config.yaml (cpu, {time.strftime('%F')}): a step takes " in capsys.readouterr().out
    for more, message in (
        ({"criterions": []}, "train.yaml: no criterion; name the configuration of a training"),
        ({"optm": "adam"}, "train.yaml: no setting of a training: optm"),
        (ours["posinv"], "there is no such folder"),
    ):
        config.write_text(yaml.safe_dump(settings | more).replace("/hubert", "/nowhere"))
        with pytest.raises(SystemExit, match=message):
            main(["--config", str(config), *length])
