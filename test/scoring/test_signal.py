import json
import os
from signal import SIGKILL

import numpy as np
import pytest
import soundfile as sf

from espnet_posinv.cli import command
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.scoring.metrics import Undefined, dnsmos, estoi, pesq, si_sdr
from espnet_posinv.scoring.signal import pool, score_signals

main = command("score", "signal")

RATE = 16000


def speech_like(seconds=2.0, seed=0):
    """Harmonics of a gliding pitch in syllables: active enough for PESQ and ESTOI."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(RATE * seconds)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t)) / RATE
    wave = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 30))
    return 0.1 * wave * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) ** 2


@pytest.fixture(scope="module")
def clean():
    return speech_like()


def noisy(clean, snr, seed=1):
    noise = np.random.default_rng(seed).standard_normal(len(clean))
    noise -= noise.mean() + clean * (noise @ clean) / (clean @ clean)  # orthogonal to the speech
    return clean + noise * np.sqrt(clean @ clean / (noise @ noise) / 10 ** (snr / 10))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 17.0])
def test_si_sdr_of_orthogonal_noise_is_the_snr(clean, snr):
    clean = clean - clean.mean()
    # Removing its mean turns the noise a little towards the speech again; 0.01 dB covers that.
    assert si_sdr(clean, 0.3 * noisy(clean, snr) + 0.2)["si_sdr"] == pytest.approx(snr, abs=0.01)


def test_si_sdr_is_undefined_where_it_is_infinite(clean):
    for enhanced, reason in ((clean, "infinite"), (-0.5 * clean + 0.1, "infinite"), (0 * clean, "silent")):
        with pytest.raises(Undefined, match=reason):
            si_sdr(clean, enhanced)


def test_metrics_rank_noise(clean):
    for function, name, low, high in ((pesq, "pesq", 1, 4.7), (estoi, "estoi", 0, 1)):
        values = [function(clean, noisy(clean, snr))[name] for snr in (10, 25, 40)]
        assert low <= values[0] < values[1] < values[2] <= high, name
    assert pesq(clean, clean)["pesq"] == pytest.approx(4.64, abs=0.01)  # the top of P.862.2's scale
    assert estoi(clean, clean)["estoi"] == pytest.approx(1, abs=1e-6)


def test_undefined_for_silence_and_snippets(clean):
    with pytest.raises(Undefined):
        pesq(clean, 0 * clean)
    for samples, reason in ((1, "less than a frame"), (409, "less than a frame"), (3000, "Not enough STFT")):
        with pytest.raises(Undefined, match=reason):
            estoi(clean[1000 : 1000 + samples], clean[1000 : 1000 + samples])
    with pytest.raises(Undefined, match="the enhanced signal is silent"):
        dnsmos(clean, 0 * clean)


def test_si_sdr_of_constant_and_of_orthogonal_signals_is_undefined(clean):
    t = np.arange(RATE) / RATE
    sine, cosine = np.sin(2 * np.pi * 100 * t), np.cos(2 * np.pi * 100 * t)
    sixteen_bits = [np.rint(0.3 * x * 32768) / 32768 for x in (sine, cosine)]
    for pair, reason in (
        ((clean, np.full_like(clean, 0.1)), "the enhanced signal is constant"),
        ((np.full_like(clean, 1 / 3), clean), "the clean signal is constant"),
        ((sine, cosine), "minus infinite"),
        (sixteen_bits, "minus infinite"),
        ((clean, (0.5 * clean).astype(np.float32)), "infinite: the signal is the clean one"),
    ):
        with pytest.raises(Undefined, match=reason):
            si_sdr(*pair)
    assert si_sdr(sine, cosine + 1e-3 * sine)["si_sdr"] == pytest.approx(-60, abs=0.01)


def test_what_kills_its_process_is_undefined(clean, monkeypatch):
    """PESQ writes behind its tables where a recording has many pauses (issues 12, 15, 18 of the package)."""
    monkeypatch.setattr("pesq.pesq", lambda *args: os.kill(os.getpid(), SIGKILL))
    with pytest.raises(Undefined, match=r"died \(SIGKILL\)"):
        pesq(clean, noisy(clean, 10))
    monkeypatch.setattr("pesq.pesq", lambda *args: 3.0)
    assert pesq(clean, noisy(clean, 10)) == {"pesq": 3.0}
    word = np.r_[clean[2000:6000], np.zeros(4000)]
    assert pesq(np.tile(word, 50), np.tile(word, 50)) == {"pesq": 3.0}
    with pytest.raises(Undefined, match=r"51 stretches of speech; P\.862's code has room for 50"):
        pesq(np.tile(word, 51), np.tile(word, 51))


def test_dnsmos_hears_every_window(monkeypatch):
    """Windows 7 to 23 of the library are one sample short and left out (DNS-Challenge's issue 130)."""
    heard = []

    def run(signal, rate):
        heard.append((len(signal), signal[0]))
        return dict.fromkeys(("ovrl_mos", "sig_mos", "bak_mos", "p808_mos"), float(signal[0]))

    monkeypatch.setattr("speechmos.dnsmos.run", run)
    ramp = (np.arange(40.5 * RATE) + 1) / RATE / 100  # tells where a window begins
    assert dnsmos(ramp, ramp)["dnsmos_sig"] == pytest.approx(np.mean(np.arange(31)) / 100, abs=1e-5)
    assert [count for count, _ in heard] == [144160] * 31
    np.testing.assert_allclose([first for _, first in heard], np.arange(31) / 100, atol=1e-6)


def test_dnsmos_is_the_librarys_on_whole_windows(clean):
    from speechmos import dnsmos as library

    short, long = clean[:20000], np.tile(clean, 8)[: 10 * RATE]
    for signal, given in ((long, long), (short, np.tile(short, 8)[:144160])):
        assert dnsmos(signal, signal)["dnsmos_ovrl"] == pytest.approx(library.run(given, RATE)["ovrl_mos"])


def test_dnsmos_range_and_keys(clean):
    values = dnsmos(clean, clean)
    assert sorted(values) == ["dnsmos_bak", "dnsmos_ovrl", "dnsmos_p808", "dnsmos_sig"]
    assert all(0.9 < value < 5 for value in values.values())
    assert dnsmos(clean, noisy(clean, 0))["dnsmos_bak"] < values["dnsmos_bak"]


def write(folder, wavs, rate=RATE):
    folder.mkdir()
    for name, wav in wavs.items():
        sf.write(folder / f"{name}.wav", wav, rate, subtype="FLOAT")
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in wavs))
    return {name: f"{folder}/{name}.wav" for name in wavs}


def test_files_in_processes(tmp_path, clean, capsys):
    other = speech_like(1.5, seed=3)
    write(tmp_path / "clean", {"a": clean, "b": other})
    write(tmp_path / "inf", {"b": noisy(other, 10), "a": 0 * clean})
    command = ["--ref-scp", f"{tmp_path}/clean/wav.scp", "--inf-scp", f"{tmp_path}/inf/wav.scp"]
    main([*command, "--output", f"{tmp_path}/s.json", "--metrics", "pesq,si_sdr", "--nj", "2"])
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["utterances"]["b"]["si_sdr"] == pytest.approx(10, abs=0.05)
    assert result["utterances"]["a"]["pesq"] is None
    assert result["utterances"]["a"]["undefined"]["si_sdr"] == "the enhanced signal is silent"
    assert result["total"]["si_sdr"]["count"] == 1
    assert result["total"]["si_sdr"]["undefined"] == 1
    assert result["total"]["si_sdr"]["mean"] == result["utterances"]["b"]["si_sdr"]
    assert "si_sdr 10.0" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="unknown metric stoi; there are pesq, estoi, si_sdr, dnsmos"):
        main([*command, "--output", f"{tmp_path}/t.json", "--metrics", "pesq,stoi"])
    assert not (tmp_path / "t.json").exists()


def test_bad_audio_is_named(tmp_path, clean):
    good = write(tmp_path / "clean", {"a": clean})
    short = write(tmp_path / "short", {"a": clean[:-1]})
    with pytest.raises(DataError, match="utterance a: clean speech has 32000 samples, enhanced 31999"):
        score_signals(good, short, ["si_sdr"])
    nan = clean.copy()
    nan[100] = np.nan
    with pytest.raises(DataError, match=r"utterance a: .*nan/a.wav: sample 100 is"):
        score_signals(good, write(tmp_path / "nan", {"a": nan}), ["si_sdr"])
    with pytest.raises(DataError, match=r"utterance a: .*8000 Hz, need 16000 Hz"):
        score_signals(good, write(tmp_path / "slow", {"a": clean}, rate=8000), ["si_sdr"])
    with pytest.raises(DataError, match=r"2 utterances are only in one .*: a, b"):
        score_signals(good, {"b": good["a"]}, ["si_sdr"])


def test_pool_keeps_counts():
    scores = {"a": {"pesq": 1.0}, "b": {"pesq": 3.0}, "c": {"pesq": None, "undefined": {"pesq": "why"}}}
    total = pool(scores)["pesq"]
    assert (total["mean"], total["count"], total["undefined"]) == (2.0, 2, 1)
    assert total["interval95"] == {"low": 1.0, "high": 3.0}
    assert pool({"c": scores["c"]})["pesq"] == {"mean": None, "count": 0, "undefined": 1}


def nowhere_finite(clean, enhanced):
    return {"odd": float("nan")}


def test_what_has_no_value_is_counted_and_named(tmp_path, clean, capsys):
    good = write(tmp_path / "clean", {"a": clean, "b": clean})
    files = write(tmp_path / "inf", {"a": 0 * clean, "b": noisy(clean, 10)})
    scores = score_signals(good, {"a": files["a"], "b": good["b"]}, ["dnsmos", "si_sdr"])
    total = pool(scores)
    assert list(total) == ["dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "dnsmos_p808", "si_sdr"]
    assert [total[name]["undefined"] for name in total] == [1, 1, 1, 1, 2]
    odd = score_signals(good, files, [], further={"odd": nowhere_finite})
    assert odd["a"] == {"odd": None, "undefined": {"odd": "not finite: {'odd': nan}"}}
    command = ["--ref-scp", f"{tmp_path}/clean/wav.scp", "--inf-scp", f"{tmp_path}/inf/wav.scp"]
    main([*command, "--output", f"{tmp_path}/s.json", "--metrics", "si_sdr"])
    assert "si_sdr undefined, the enhanced signal is silent: a\n" in capsys.readouterr().out
