"""Audio of another sample rate than the criterions': refused before the first step, with file and cure."""

import numpy as np
import pytest
import soundfile

from espnet_posinv.enh.rates import CheckedRates, check_sample_rates
from espnet_posinv.enh.task import PosinvEnhancementTask, PosinvEnhS2TTask


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
    check_sample_rates([criterion()], lists(16000, 16000))
    check_sample_rates([criterion(sample_rate=8000)], lists(8000, 8000))
    check_sample_rates([{"name": "si_snr", "conf": {}}], lists(8000, 8000))  # does not mind


@pytest.mark.parametrize(("rates", "key"), [((8000, 8000), "speech_mix"), ((16000, 44100), "speech_ref1")])
def test_other_rates_are_named(lists, rates, key):
    with pytest.raises(
        ValueError, match=rf"{key}\.scp: .*{key}\.wav has {max(rates, key=lambda r: r != 16000)} Hz"
    ):
        check_sample_rates([criterion()], lists(*rates))


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


def test_joint_training_looks_too():
    assert issubclass(PosinvEnhS2TTask, CheckedRates)
