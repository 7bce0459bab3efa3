"""Fine-tuning with speech and noise in memory: mixtures, schedule, that it learns."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_posinv.cli import command
from espnet_posinv.enh.enhancer import MODELS, Enhancer
from espnet_posinv.enh.in_memory import Mixer, Plan, finetune, learning_rate
from espnet_posinv.enh.model_folder import as_trained
from espnet_posinv.perturb.noise import active_frames

RATE = 16000


def speech(seconds, seed=0):
    """Bursts of noise, four a second."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(int(seconds * RATE)) / RATE
    return 0.1 * torch.randn(len(t), generator=g) * (torch.sin(2 * torch.pi * 4 * t) > 0)


def noises():
    g = torch.Generator().manual_seed(1)
    return {
        "short": 0.1 * torch.randn(RATE // 2, generator=g),
        "long": 0.3 * torch.randn(9 * RATE, generator=g),
    }


def ratio(mix, clean):
    active = active_frames(clean.numpy())
    noise = (mix - clean).numpy()[active]
    return 10 * np.log10((clean.numpy()[active] ** 2).mean() / (noise**2).mean())


@pytest.mark.parametrize("vary", [False, True])
def test_mixtures_have_their_ratio_and_level(vary):
    for snr in (-5.0, 10.0):
        plan = Plan(batch=6, seconds=1.0, snr=(snr, snr), level=(-26.0, -26.0), vary=vary)
        mix, clean = Mixer([speech(5), speech(4, 1)], noises(), plan)()
        assert mix.shape == clean.shape == (6, RATE) and mix.abs().max() <= 0.99
        for m, c in zip(mix, clean, strict=True):
            assert ratio(m, c) == pytest.approx(snr, abs=0.3)
            if m.abs().max() < 0.98:  # not scaled down
                level = 10 * np.log10((c.numpy()[active_frames(c.numpy())] ** 2).mean())
                assert level == pytest.approx(-26, abs=0.3)


def test_batches_follow_the_seed():
    plan = Plan(batch=2, seconds=0.5, seed=3)
    a, b = (Mixer([speech(3)], noises(), plan) for _ in range(2))
    first = a()
    assert all(torch.equal(x, y) for x, y in zip(first, b(), strict=True))
    assert not torch.equal(first[0], a()[0])
    assert not torch.equal(first[0], Mixer([speech(3)], noises(), Plan(batch=2, seconds=0.5, seed=4))()[0])


def test_windows_without_speech_are_never_drawn():
    silence = 1e-4 * torch.randn(60 * RATE, generator=torch.Generator().manual_seed(0))
    plan = Plan(batch=8, seconds=1.0, level=(-26.0, -26.0))
    mixer = Mixer([silence, speech(3), silence], noises(), plan)
    assert len(mixer.places) and ((mixer.places > 59 * RATE) & (mixer.places < 63 * RATE)).all()
    with pytest.raises(ValueError, match="no window of 1 s holds speech"):
        Mixer([silence], noises(), plan)


def test_a_noise_that_pauses_where_the_speech_is_does_not_become_a_bang():
    part = torch.arange(9 * RATE) % (2 * RATE) < RATE // 2  # half a second of noise, then none
    noise = 0.1 * torch.randn(9 * RATE, generator=torch.Generator().manual_seed(2)) * part
    bursts = torch.cat([speech(0.6), torch.zeros(RATE // 2)]).repeat(4)
    plan = Plan(batch=64, seconds=1.0, snr=(0.0, 0.0), level=(-26.0, -26.0), vary=False)
    mix, clean = Mixer([bursts], {"pauses": noise}, plan)()
    loudest = clean.square().unfold(1, 320, 320).mean(2).amax(1)
    assert ((mix - clean).square().mean(1) <= 100 * loudest).all()


def test_too_little_speech_is_told():
    with pytest.raises(ValueError, match="8000 samples of speech: a window takes 64000"):
        Mixer([speech(0.5)], noises(), Plan())


def test_rate_rises_and_falls():
    plan = Plan(steps=1000, rate=1.0, warmup=100)
    rates = [learning_rate(i, plan) for i in range(1000)]
    assert rates[0] == pytest.approx(0.01) and rates[49] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(rates[98], abs=0.02) and rates[-1] == pytest.approx(0.02, abs=1e-4)
    assert rates[500] == pytest.approx(0.02 + 0.98 * 0.5, abs=0.01)


def test_a_gain_is_learned():
    """The least-squares gain of a mixture at 0 dB is about a half."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    plan = Plan(steps=60, batch=8, seconds=0.5, rate=0.03, warmup=5, snr=(0.0, 0.0), vary=False)
    seen = []
    finetune(
        model,
        lambda x: model(x[..., None])[..., 0],
        lambda clean, enhanced, lengths: (clean - enhanced).square().mean(1) * 1e3,
        Mixer([speech(6)], noises(), plan),
        plan,
        log=seen.append,
        every=20,
    )
    # Noise fills the pauses, too, so the best gain lies below 1 / 2
    assert 0.25 < model.weight.item() < 0.55
    assert [v["step"] for v in seen] == [20, 40, 60] and seen[-1]["loss"] < seen[0]["loss"]


def test_a_loss_that_is_not_finite_stops_it():
    model = torch.nn.Linear(1, 1)
    plan = Plan(steps=2, batch=2, seconds=0.5)
    with pytest.raises(FloatingPointError, match="update 1: the loss is nan"):
        finetune(
            model,
            lambda x: model(x[..., None])[..., 0],
            lambda clean, enhanced, lengths: (clean - enhanced).mean(1) * float("nan"),
            Mixer([speech(3)], noises(), plan),
            plan,
            log=lambda values: None,
            every=1,
        )


@pytest.fixture
def call(tmp_path):
    """call(*more) runs the command on a little speech and noise, by default into tmp_path/exp."""
    root = Path(__file__).parents[2] / "egs2/mini_debian"
    for name, x in {"a": speech(2), "b": speech(2, 1), **noises()}.items():
        soundfile.write(tmp_path / f"{name}.wav", x.numpy(), RATE)
    for scp, names in (("speech", ("a", "b")), ("noise", ("short", "long"))):
        (tmp_path / f"{scp}.scp").write_text("".join(f"{n} {tmp_path / n}.wav\n" for n in names))
    fixed = [
        *("--model", str(MODELS / "nsnet2_ssl_mse"), "--output-dir", str(tmp_path / "exp")),
        *("--criterion", str(root / "enh1/conf/criterion/ssl_softdtw.yaml")),
        *("--upstream", f"transformers:{root / 'ssl1/mini_hubert'}", "--steps", "2", "--batch", "2"),
        *("--seconds", "0.5", "--seed", "7"),
        *("--speech-scp", str(tmp_path / "speech.scp"), "--noise-scp", str(tmp_path / "noise.scp")),
    ]
    return lambda *more: command("finetune")([*fixed, *map(str, more)])


def test_the_command_leaves_an_experiment_that_enhances(call, tmp_path):
    call()
    config = as_trained(yaml.safe_load((tmp_path / "exp/config.yaml").read_text()))
    assert config["criterions"][0]["name"] == "ssl_softdtw" and config["resident"]["steps"] == 2
    before, after = Enhancer.from_pretrained("nsnet2_ssl_mse"), Enhancer.from_pretrained(tmp_path / "exp")
    x = speech(1, 5).numpy()
    assert not np.array_equal(before(x), after(x)) and np.abs(before(x) - after(x)).max() < 0.1
    assert len((tmp_path / "exp/train.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("noise", "seconds", "message"),
    [
        (torch.zeros(RATE), 1.0, "noise hum: silent, or only 16000 samples; leave it out"),
        (torch.full((RATE,), 0.5), 1.0, "noise hum: silent"),  # a constant is inaudible
        (torch.ones(1), 1.0, "noise hum: silent, or only 1 samples"),
        (noises()["long"], 0.01, "windows of 0.01 s: at least 0.02 s are needed"),
    ],
)
def test_noise_and_windows_without_sound_are_refused(noise, seconds, message):
    with pytest.raises(ValueError, match=message):
        Mixer([speech(3)], {**noises(), "hum": noise}, Plan(seconds=seconds))


def test_bad_options_and_files_are_told(call, tmp_path, capsys):
    for option in ("--rate", "--seconds"):
        for value in ("0", "-1", "inf", "x"):
            with pytest.raises(SystemExit):
                call(option, value)
            assert f"{option}: expected a number above 0, got '{value}'" in capsys.readouterr().err
    (tmp_path / "empty.scp").touch()
    with pytest.raises(SystemExit, match=r"empty\.scp: holds no recording; name clean speech"):
        call("--speech-scp", tmp_path / "empty.scp")
    for text, message in (
        ("criterions: 3", "c.yaml: criterions: a list is needed, each entry with name and conf"),
        ("criterions: [ssl_mse]", "c.yaml: criterions: a list is needed"),
        ("criterions: [{conf: {}}]", "c.yaml: criterions: a list is needed"),
        ("criterions: [{name: ssl_mse, conf: {lyer: 3}}]", "c.yaml: conf of ssl_mse: .* argument 'lyer'"),
        ("criterions: [", "c.yaml:1: not YAML \\(expected .*\\); mend it"),
    ):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(SystemExit, match=message):
            call("--criterion", tmp_path / "c.yaml")
    assert not (tmp_path / "exp").exists()


def test_another_model_is_never_overwritten(call, tmp_path, capsys):
    call()
    before = {path: path.read_bytes() for path in (tmp_path / "exp").iterdir()}
    call()
    assert "done already, from the same inputs" in capsys.readouterr().out
    refused = r"exp/config\.yaml: of another model, or made from other inputs.*name another --output-dir"
    with pytest.raises(SystemExit, match=refused):
        call("--rate", "1e-3")
    soundfile.write(tmp_path / "short.wav", 2 * noises()["short"].numpy(), RATE)
    with pytest.raises(SystemExit, match=refused):
        call()
    assert {path: path.read_bytes() for path in (tmp_path / "exp").iterdir()} == before
    (tmp_path / "exp/config.yaml").unlink()
    with pytest.raises(SystemExit, match=r"exp/model\.pth: of another model"):
        call()


def test_the_command_does_not_overwrite_what_it_starts_from():
    model = str(MODELS / "nsnet2_ssl_mse")
    lists = ["--criterion", "x", "--upstream", "x", "--speech-scp", "x", "--noise-scp", "x"]
    with pytest.raises(SystemExit, match="is --model, which would be overwritten"):
        command("finetune")(["--model", model, "--output-dir", f"{model}/../nsnet2_ssl_mse", *lists])
