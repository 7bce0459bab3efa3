"""Mixtures on the fly: in ESPnet's data loader, over workers, epochs and processes; not in validation."""

import argparse

import numpy as np
import pytest
import soundfile
import torch
import yaml

from espnet_posinv.enh.noise_mixing import NAME, NoiseMixing
from espnet_posinv.enh.task import PosinvEnhancementTask
from espnet_posinv.kaldi.scp import DataError


@pytest.fixture
def noise_scp(tmp_path):
    for kind in "ab":
        rng = np.random.default_rng(ord(kind))
        soundfile.write(tmp_path / f"{kind}.wav", 0.1 * rng.standard_normal(20000), 16000)
    (tmp_path / "noise.scp").write_text(f"a {tmp_path}/a.wav\nb {tmp_path}/b.wav\n")
    return tmp_path / "noise.scp"


@pytest.fixture
def utterances():
    rng = np.random.default_rng(0)
    return {f"utt{i}": (0.2 * rng.standard_normal(4000 + 100 * i)).astype(np.float32) for i in range(6)}


class Dataset(torch.utils.data.Dataset):
    """What ESPnet's dataset does with a preprocessor."""

    def __init__(self, utterances, mixing):
        self.items, self.mixing = list(utterances.items()), mixing

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        utt, x = self.items[index]
        return utt, self.mixing(utt, {"speech_mix": x, "speech_ref1": x})


def epoch(utterances, mixing, seed, workers, order):
    """Mixtures of an epoch, loaded as ESPnet loads them."""
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(
        Dataset(utterances, mixing), batch_size=2, sampler=order, num_workers=workers, collate_fn=list
    )
    return {utt: data["speech_mix"] for batch in loader for utt, data in batch}


def test_mixture_and_reference_belong_together(noise_scp, utterances):
    mixing = NoiseMixing(True, str(noise_scp), [5])
    x = utterances["utt1"] / np.abs(utterances["utt1"]).max()
    data = mixing("utt1", {"speech_mix": x, "speech_ref1": x, "noise_ref1": x, "text": np.zeros(2)})
    assert np.abs(data["speech_mix"]).max() <= 0.991 and data["speech_mix"].dtype == np.float32
    np.testing.assert_allclose(data["speech_mix"], data["speech_ref1"] + data["noise_ref1"], atol=1e-6)
    gain = np.abs(data["speech_ref1"]).max() / np.abs(x).max()
    assert gain < 1
    np.testing.assert_allclose(data["speech_ref1"], gain * x, atol=1e-6)
    assert 10 * np.log10(np.sum(data["speech_ref1"] ** 2) / np.sum(data["noise_ref1"] ** 2)) == pytest.approx(
        5, abs=0.3
    )
    assert np.array_equal(data["text"], np.zeros(2))


def test_noise_depends_on_utterance_and_epoch_alone(noise_scp, utterances):
    mixing = NoiseMixing(True, str(noise_scp))
    forth, back = [0, 1, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0]
    one, two = (epoch(utterances, mixing, 7, workers, order) for workers, order in ((1, forth), (2, back)))
    for utt in utterances:
        np.testing.assert_array_equal(one[utt], two[utt])
    half = epoch(utterances, mixing, 7, 2, [1, 3])  # what a second process of a training has
    np.testing.assert_array_equal(half["utt3"], one["utt3"])
    other = epoch(utterances, mixing, 8, 2, forth)
    assert all(not np.array_equal(other[utt], one[utt]) for utt in utterances)
    alone = [epoch(utterances, mixing, 7, 0, order) for order in (forth, back)]
    assert all(np.array_equal(alone[0][utt], alone[1][utt]) for utt in utterances)


def test_validation_and_inference_take_data_as_they_are(utterances):
    mixing = NoiseMixing(False, "no/such/file")
    data = {"speech_mix": utterances["utt0"]}
    assert mixing("utt0", data) is data


def test_mistakes_are_named(noise_scp, tmp_path):
    with pytest.raises(ValueError, match=r"utterance utt3: speech: .*silent"):
        NoiseMixing(True, str(noise_scp))("utt3", {"speech_ref1": np.zeros(8000, np.float32)})
    with pytest.raises(DataError, match=r"nowhere\.scp: no such file"):
        NoiseMixing(True, str(tmp_path / "nowhere.scp"))


def test_task_trains_with_it(noise_scp, config, data, tmp_path, history, monkeypatch):
    settings = {"preprocessor": NAME, "preprocessor_conf": {"noise_scp": str(noise_scp), "snrs": [5.0]}}
    path = config(tmp_path / "train.yaml", {"snr": {}}, max_epoch=1, **settings)
    seen = {}
    mix = NoiseMixing.__call__
    monkeypatch.setattr(
        NoiseMixing, "__call__", lambda self, uid, d: seen.setdefault(uid, (self.train, mix(self, uid, d)))[1]
    )
    PosinvEnhancementTask.main(cmd=["--config", str(path), *data, "--output_dir", str(tmp_path / "exp")])
    assert {utt for utt, (train, _) in seen.items() if train} == {f"train{i}" for i in range(8)}
    assert {utt for utt, (train, _) in seen.items() if not train} == {f"valid{i}" for i in range(3)}
    assert np.isfinite(history(tmp_path / "exp")[1, "train"]["loss"])
    written = yaml.safe_load((tmp_path / "exp/config.yaml").read_text())
    args = argparse.Namespace(**written)
    assert not PosinvEnhancementTask.build_preprocess_fn(args, False).train


def test_packed_model_does_not_need_it(noise_scp, tmp_path):
    from espnet_posinv.enh.nsnet2 import NSNet2Separator
    from espnet_posinv.recipe.pack import pack

    torch.save({f"separator.{k}": v for k, v in NSNet2Separator(1).state_dict().items()}, tmp_path / "m.pth")
    conf = {"separator": "nsnet2", "preprocessor": NAME, "preprocessor_conf": {"noise_scp": str(noise_scp)}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(conf))
    pack(tmp_path / "config.yaml", tmp_path / "m.pth", tmp_path / "packed")
    assert "preprocessor" not in yaml.safe_load((tmp_path / "packed/config.yaml").read_text())
