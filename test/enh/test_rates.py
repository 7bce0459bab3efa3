"""Audio of another sample rate than the criterions': refused before the first step, with file and cure."""

import numpy as np
import pytest
import soundfile
import torch

from espnet_posinv.criterions.batch import batch_info
from espnet_posinv.criterions.ssl_mse import SSLMSELoss
from espnet_posinv.criterions.ssl_softdtw import SSLSoftDTWLoss
from espnet_posinv.enh.rates import check_first_files, wanted_rates
from espnet_posinv.enh.task import TASKS, PosinvEnhancementTask


@pytest.fixture
def lists(tmp_path):
    """lists(8000, 16000) -> speech_mix at the first rate and speech_ref1 at the second."""

    def write(*rates):
        files = []
        for rate, key in zip(rates, ("speech_mix", "speech_ref1"), strict=True):
            soundfile.write(tmp_path / f"{key}.wav", np.zeros(100), rate)
            (tmp_path / f"{key}.scp").write_text(f"utt1 {tmp_path}/{key}.wav\n")
            files.append((f"{tmp_path}/{key}.scp", key, "sound"))
        return files

    return write


def criterion(**conf):
    return {"name": "ssl_mse", "conf": {"upstream": "transformers:any", **conf}}


def test_equal_rates_pass(lists):
    check_first_files(wanted_rates([criterion()]), lists(16000, 16000))
    check_first_files(wanted_rates([criterion(sample_rate=8000)]), lists(8000, 8000))
    check_first_files(wanted_rates([{"name": "si_snr", "conf": {}}]), lists(8000, 8000))  # does not mind


def test_a_criterion_needs_no_conf():
    """ESPnet takes it for {}; this once ended with KeyError: 'conf'."""
    assert wanted_rates([{"name": "si_snr"}, {"name": "snr", "conf": None}, criterion()]) == {
        "ssl_mse": 16000
    }


@pytest.mark.parametrize(("rates", "key"), [((8000, 8000), "speech_mix"), ((16000, 44100), "speech_ref1")])
def test_other_rates_are_named(lists, rates, key):
    with pytest.raises(ValueError, match=rf"{key}\.scp: utt1 has {max(rates, key=lambda r: r != 16000)} Hz"):
        check_first_files(wanted_rates([criterion()]), lists(*rates))


def test_a_training_is_refused(config, tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.ones(8000), 8000)
    (tmp_path / "a.scp").write_text(f"a {tmp_path}/a.wav\n")
    (tmp_path / "shape").write_text("a 8000\n")
    options = ["--output_dir", f"{tmp_path}/exp", "--ngpu", "0", "--fold_length", "80000"]
    for part in ("train", "valid"):
        options += [f"--{part}_shape_file", f"{tmp_path}/shape"]
        for key in ("speech_mix", "speech_ref1"):
            options += [f"--{part}_data_path_and_name_and_type", f"{tmp_path}/a.scp,{key},sound"]
    path = config(tmp_path / "c.yaml", {"ssl_softdtw": {}})
    with pytest.raises(ValueError, match="8000 Hz, but ssl_softdtw compares speech at 16000 Hz: resample"):
        PosinvEnhancementTask.main(cmd=["--config", str(path), *options])


def several(tmp_path, rates, told=None):
    """Options of a training on utterances of these rates, 0.6 s each, tones of the same frequency in Hz."""
    lines, shapes, fs = [], [], []
    for i, rate in enumerate(rates):
        t = np.arange(int(0.6 * rate)) / rate
        soundfile.write(tmp_path / f"u{i}.wav", 0.1 * np.sin(2 * np.pi * 440 * t), rate)
        lines.append(f"u{i} {tmp_path}/u{i}.wav\n")
        shapes.append(f"u{i} {len(t)}\n")
        fs.append(f"u{i} {(told or rates)[i]}\n")
    (tmp_path / "wav.scp").write_text("".join(lines))
    (tmp_path / "shape").write_text("".join(shapes))
    (tmp_path / "utt2fs").write_text("".join(fs))
    options = [
        "--output_dir",
        f"{tmp_path}/exp",
        "--ngpu",
        "0",
        "--fold_length",
        "80000",
        "--batch_size",
        "1",
    ]
    for part in ("train", "valid"):
        options += [f"--{part}_shape_file", f"{tmp_path}/shape"]
        for key in ("speech_mix", "speech_ref1"):
            options += [f"--{part}_data_path_and_name_and_type", f"{tmp_path}/wav.scp,{key},sound"]
        if told:
            options += [f"--{part}_data_path_and_name_and_type", f"{tmp_path}/utt2fs,fs,text_int"]
    return options


def train(config, tmp_path, options, **changes):
    path = config(tmp_path / "c.yaml", {"ssl_mse": {}}, max_epoch=1, batch_type="unsorted", **changes)
    PosinvEnhancementTask.main(cmd=["--config", str(path), *options])


def test_a_later_file_of_another_rate_is_refused_by_name(config, tmp_path):
    """ESPnet itself sees it only where the same process has read a file of the first rate before."""
    options = several(tmp_path, [16000, 8000])
    with pytest.raises(
        ValueError, match=r"wav\.scp: u1 has 8000 Hz, but ssl_mse compares speech at 16000 Hz"
    ):
        train(config, tmp_path, [*options, "--num_workers", "2"])


@pytest.mark.parametrize("iterator", ["sequence", "chunk"])
def test_where_several_rates_are_allowed_each_is_resampled(config, tmp_path, history, iterator):
    """20 ms frames of 0.6 s are 29 at any rate; at 8 kHz taken for 16 kHz they would be 14."""
    options = several(tmp_path, [16000, 8000, 44100])
    changes = {"iterator_type": "chunk", "chunk_length": 4000} if iterator == "chunk" else {}
    train(config, tmp_path, options, allow_multi_rates=True, valid_iterator_type="sequence", **changes)
    stats = history(tmp_path / "exp")[1, "valid"]
    assert stats["ssl_mse_frames"] == 29 and np.isfinite(stats["ssl_mse"])


def test_a_utt2fs_that_is_wrong_is_refused(config, tmp_path):
    options = several(tmp_path, [16000, 8000], told=[16000, 16000])
    conf = {"preprocessor": "enh", "preprocessor_conf": {"num_spk": 1, "sample_rate": 16000}}
    with pytest.raises(ValueError, match="utterance u1: utt2fs says 16000 Hz, but its files have 8000 Hz"):
        train(config, tmp_path, options, allow_multi_rates=True, **conf)


def test_resampled_utterances_compare_as_their_16_khz_selves(hubert):
    """Frames of the same sound, recorded at 8 and at 16 kHz, are nearly the same."""
    rng = np.random.default_rng(0)
    low = np.fft.irfft(np.fft.rfft(rng.standard_normal(8000)) * (np.arange(4001) < 3000), 8000)
    high = np.fft.irfft(np.pad(np.fft.rfft(low), (0, 4000)) * 2, 16000)  # the same, band-limited
    x8, x16 = (torch.from_numpy(0.1 * x[None]).float() for x in (low, high))
    for criterion in (SSLMSELoss(hubert), SSLSoftDTWLoss(hubert, speeds=[1.0])):
        expected = criterion(x16, 0.5 * x16, torch.tensor([16000]))
        with batch_info(sample_rates=torch.tensor([8000])):
            wav = (0.5 * x8).requires_grad_()
            loss = criterion(x8, wav, torch.tensor([8000]))
        assert loss.item() == pytest.approx(expected.item(), rel=0.05)
        loss.sum().backward()
        assert wav.grad.abs().max() > 0


def test_every_task_looks(config):
    from espnet_posinv.enh.rates import KnownRates

    assert all(issubclass(task, KnownRates) for task in TASKS.values())
