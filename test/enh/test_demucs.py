import itertools
import sys
import types

import numpy as np
import pytest
import torch
import yaml

from espnet_posinv.enh.demucs import (
    DemucsSeparator,
    downsample2,
    half_sample_filter,
    level_lengths,
    upsample2,
    valid_std,
)
from espnet_posinv.enh.demucs_import import import_demucs, read_weights, their_name


@pytest.fixture
def small():
    torch.manual_seed(0)
    return DemucsSeparator(1, hidden=4).eval()


def enhance(separator, wavs, width=None):
    lengths = torch.tensor([len(wav) for wav in wavs])
    batch = torch.full((len(wavs), width or int(lengths.max())), 0.7)  # padding that would be heard
    for row, wav in zip(batch, wavs, strict=True):
        row[: len(wav)] = wav
    (out,), out_lengths, _ = separator(batch, lengths)
    assert torch.equal(out_lengths, lengths)
    return out


def noise(samples, seed=0):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("hidden", [3, 48])
def test_equals_denoiser(hidden, tmp_path):
    reason = "the oracle is not installed (pip install --no-deps denoiser); tests only: it is CC BY-NC"
    theirs = pytest.importorskip("denoiser.demucs", reason=reason).Demucs
    torch.manual_seed(1)
    oracle = theirs(hidden=hidden).eval()
    torch.save(oracle.state_dict(), tmp_path / "theirs.th")
    size, weights = read_weights(tmp_path / "theirs.th")
    assert size == hidden
    ours = DemucsSeparator(1, hidden).eval()
    ours.load_state_dict(weights)
    for samples in (2, 596, 597, 598, 2001, 4096):
        wav = noise(samples)
        with torch.no_grad():
            expected = oracle(wav[None, None])[0, 0]
            got = enhance(ours, [wav], samples + 333)[0, :samples]
        # Both are float32 sums in some order: a few ulp of the largest sample.
        torch.testing.assert_close(got, expected, rtol=0, atol=2e-6 * float(expected.abs().max()))


def test_batch_and_padding_do_not_matter(small):
    # Lengths around 597, the shortest signal with one frame at the bottom, and around 853, with two.
    wavs = [noise(n, n) for n in (3000, 1109, 854, 853, 852, 598, 597, 596, 50, 1)]
    with torch.no_grad():
        batch = enhance(small, wavs, width=4321)
        for wav, row in zip(wavs, batch, strict=True):
            alone = enhance(small, [wav])[0]
            torch.testing.assert_close(row[: len(wav)], alone, rtol=0, atol=1e-6 * float(alone.abs().max()))
            assert torch.all(row[len(wav) :] == 0)


def test_parameter_gradient_of_a_batch_is_the_sum_of_its_utterances(small):
    small.double()
    wavs, total = [noise(n, n) for n in (1500, 700)], {}
    for wav in wavs:
        small.zero_grad()
        enhance(small, [wav]).square().sum().backward()
        for name, p in small.named_parameters():
            total[name] = total.get(name, 0) + p.grad
    small.zero_grad()
    enhance(small, wavs).square().sum().backward()
    for name, p in small.named_parameters():
        torch.testing.assert_close(p.grad, total[name], rtol=1e-3, atol=1e-6 * float(total[name].abs().max()))


def test_levels_fit_the_convolutions():
    for samples in (1, 597, 598, 16000, 16001):
        base, double, *levels = (int(n) for n in level_lengths(torch.tensor(samples)))
        assert base >= samples and (double, levels[0]) == (2 * base, 4 * base)
        x = torch.zeros(1, 1, levels[0])
        for frames in levels[1:]:
            x = torch.nn.functional.conv1d(x, torch.zeros(1, 1, 8), stride=4)
            assert x.shape[-1] == frames
            # and back, with no sample left over
            assert (
                torch.nn.functional.conv_transpose1d(x, torch.zeros(1, 1, 8), stride=4).shape[-1]
                == (levels[levels.index(frames) - 1])
            )


def test_sinc_filters_on_sines():
    # Up to 0.9 of the band; the window's transition takes the rest. The ends lack neighbours.
    kernel = half_sample_filter()
    n = np.arange(1000)
    for frequency in (0.01, 0.2, 0.45):
        sine = torch.tensor(np.sin(2 * np.pi * frequency * n + 0.3), dtype=torch.float32)[None]
        fine = torch.tensor(np.sin(np.pi * frequency * np.arange(2000) + 0.3), dtype=torch.float32)[None]
        torch.testing.assert_close(upsample2(sine, kernel)[0, 120:-120], fine[0, 120:-120], rtol=0, atol=2e-4)
        torch.testing.assert_close(downsample2(fine, kernel)[0, 60:-60], sine[0, 60:-60], rtol=0, atol=2e-4)
    above = torch.tensor(np.sin(np.pi * 0.6 * np.arange(2000)), dtype=torch.float32)[None]  # would alias
    assert downsample2(above, kernel)[0, 60:-60].abs().max() < 2e-4


def test_valid_std():
    x = torch.tensor([[1.0, 2.0, 3.0, 100.0], [5.0, 5.0, 5.0, 5.0]])
    std = valid_std(x, torch.tensor([3, 4]))
    torch.testing.assert_close(std, torch.tensor([[1.0], [0.0]]))


def test_scales_with_its_input(small):
    # Far above the floor, the normalisation makes the network proportional to its input.
    with torch.no_grad():
        wav = noise(2000)
        torch.testing.assert_close(
            enhance(small, [1e4 * wav])[0], 10 * enhance(small, [1e3 * wav])[0], rtol=1e-4, atol=1e-3
        )


def test_hardly_looks_ahead(small):
    # 3 + 12 + 48 + ... samples of windows at 64 kHz, and the two sincs: under 60 ms at 16 kHz.
    wav = noise(8000)
    changed = wav.clone()
    changed[4000:] += noise(4000, 1)
    small_std = valid_std(torch.stack([wav, changed]), torch.tensor([8000, 8000]))
    changed[4000:] *= 0.5
    with torch.no_grad():
        a, b = enhance(small, [wav])[0], enhance(small, [changed])[0]
    # Only the level depends on the whole utterance; take it out of the comparison.
    assert small_std.shape == (2, 1)
    early_a, early_b = a[:3000], b[:3000]
    ratio = float((early_a * early_b).sum() / early_a.square().sum())
    assert (early_b - ratio * early_a).abs().max() < 0.05 * early_b.abs().max()


def test_gradient_is_finite_on_silence(small):
    wav = torch.zeros(2, 1600)
    wav[0, 800:] = noise(800)
    wav.requires_grad_()
    (out,), _, _ = small(wav, torch.tensor([1600, 1000]))
    out.square().sum().backward()
    for name, parameter in [("input", wav), *small.named_parameters()]:
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.all(wav.grad[1, 1000:] == 0)


def test_sizes():
    # Counted by hand from the paper's layers; with hidden 48 and 64, 18.87 and 33.53 million.
    def count(h):
        sizes = [1] + [h * 2**level for level in range(5)]
        pairs = list(itertools.pairwise(sizes))
        coder = sum(a * b * 8 + b + b * 2 * b + 2 * b for a, b in pairs)
        decoder = sum(b * 2 * b + 2 * b + b * a * 8 + a for a, b in pairs)
        return coder + decoder + 2 * (8 * sizes[-1] ** 2 + 8 * sizes[-1])

    for hidden in (4, 48, 64):
        with torch.device("meta"):
            separator = DemucsSeparator(1, hidden)
        assert sum(p.numel() for p in separator.parameters()) == count(hidden)


def test_errors_name_the_fix(small):
    with pytest.raises(ValueError, match="256 features a frame: set 'encoder: same'"):
        DemucsSeparator(256)
    with pytest.raises(ValueError, match="hidden must be at least 1, not 0"):
        DemucsSeparator(1, 0)
    with pytest.raises(ValueError, match=r"one channel, \(B, T\), not shape \(1, 1600, 2\)"):
        small(torch.zeros(1, 1600, 2), torch.tensor([1600]))
    with pytest.raises(ValueError, match="hidden 4, not 6: set 'hidden: 4' in separator_conf"):
        DemucsSeparator(1, 6).load_state_dict(small.state_dict())


def their_state(separator):
    return {their_name(name): value for name, value in separator.state_dict().items()}


def test_imports_a_state_dict(small, tmp_path):
    torch.save(their_state(small), tmp_path / "mine.th")
    assert import_demucs(tmp_path / "mine.th", tmp_path / "exp") == 4
    assert sorted(p.name for p in (tmp_path / "exp").iterdir()) == ["config.yaml", "model.pth"]
    config = yaml.safe_load((tmp_path / "exp/config.yaml").read_text())
    assert (config["separator"], config["separator_conf"]) == ("demucs", {"hidden": 4})
    state = torch.load(tmp_path / "exp/model.pth", weights_only=True)
    for name, value in small.state_dict().items():
        assert torch.equal(state[f"separator.{name}"], value), name


def test_imports_a_trainings_best(small, tmp_path, monkeypatch):
    # The class is in the file by its name; it is not needed, and not made, to read it.
    module = types.ModuleType("denoiser.demucs")
    module.Demucs = type("Demucs", (), {"__module__": "denoiser.demucs"})
    best = {"class": module.Demucs, "args": (), "kwargs": {"hidden": 4}, "state": their_state(small)}
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "denoiser", types.ModuleType("denoiser"))
        patch.setitem(sys.modules, "denoiser.demucs", module)
        torch.save(best, tmp_path / "best.th")
        torch.save(best | {"kwargs": {"hidden": 4, "resample": 2}}, tmp_path / "slow.th")
        torch.save(best | {"args": types.SimpleNamespace()}, tmp_path / "checkpoint.th")
    assert read_weights(tmp_path / "best.th")[0] == 4
    with pytest.raises(ValueError, match=r"slow\.th: a Demucs with resample=2;"):
        read_weights(tmp_path / "slow.th")
    with pytest.raises(ValueError, match=r"checkpoint\.th is no file of weights only .* take best\.th"):
        read_weights(tmp_path / "checkpoint.th")


def test_import_refuses_other_models(small, tmp_path):
    from espnet_posinv.cli import command

    main = command("import-demucs")

    path = tmp_path / "mine.th"
    torch.save(their_state(small), path)
    with pytest.raises(SystemExit, match="hidden 4, not 48: import it with --hidden 4, and set 'hidden: 4'"):
        main(["--checkpoint", str(path), "--output-dir", str(tmp_path / "exp"), "--hidden", "48"])
    both_ways = their_state(small) | {"lstm.lstm.weight_ih_l0_reverse": torch.zeros(256, 64)}
    torch.save(both_ways, path)
    with pytest.raises(ValueError, match=r"reverse: expected nothing, found \(256, 64\)"):
        read_weights(path)
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"it has no encoder\.0\.0\.bias"):
        read_weights(path)
    path.write_text("nothing of the kind")
    with pytest.raises(ValueError, match="is no file of weights only"):
        read_weights(path)
    with pytest.raises(SystemExit, match=r"posinv import-demucs: .*absent\.th"):
        main(["--checkpoint", str(tmp_path / "absent.th"), "--output-dir", str(tmp_path / "exp")])
    assert not (tmp_path / "exp").exists()


def test_espnet_builds_and_runs_it(small, tmp_path):
    from espnet_posinv.enh.task import PosinvEnhancementTask

    torch.save(their_state(small), tmp_path / "mine.th")
    import_demucs(tmp_path / "mine.th", tmp_path / "exp")
    model, _ = PosinvEnhancementTask.build_model_from_file(
        str(tmp_path / "exp/config.yaml"), str(tmp_path / "exp/model.pth"), "cpu"
    )
    wav = noise(2000)
    with torch.no_grad():
        feature, lengths = model.encoder(wav[None], torch.tensor([2000]))
        got = model.decoder(model.separator(feature, lengths)[0][0], torch.tensor([2000]))[0]
        torch.testing.assert_close(got[0], enhance(small, [wav])[0])


def test_import_refuses_a_file_without_one_of_its_weights(small, tmp_path):
    state = their_state(small)
    for name in state:
        torch.save({k: v for k, v in state.items() if k != name}, tmp_path / "model.th")
        with pytest.raises(ValueError, match=name):
            read_weights(tmp_path / "model.th")
