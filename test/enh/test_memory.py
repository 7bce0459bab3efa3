"""What a step takes: counted bytes against sums by hand, and the plan that follows from them."""

import re

import numpy as np
import pytest
import torch

from espnet_posinv.enh.memory import CONTEXT, MIB, SLACK, PeakBytes, StepMemory, describe

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
    with pytest.raises(SystemExit, match="there is no such folder"):
        config.write_text(config.read_text().replace("/hubert", "/nowhere"))
        main(["--config", str(config), "--gpu-memory", "8", "--measure", "0.5"])
