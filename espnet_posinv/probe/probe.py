"""The position probe: how much a loss on a frozen encoder depends on position, by layer and criterion.

Everything is measured on real speech; only linear predictors and waveforms are trained.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from espnet_posinv.criterions import PAPER, criterion_class
from espnet_posinv.kaldi.entry import fingerprint
from espnet_posinv.kaldi.parallel import time_left
from espnet_posinv.kaldi.scp import DataError, read_scp
from espnet_posinv.probe.exploit import exploit
from espnet_posinv.probe.hidden import HiddenStates, read_speech, stationary_crops
from espnet_posinv.probe.layers import SNRS, noise_monotony, sound_clusters, speech_shaped_noise
from espnet_posinv.probe.logmel import logmel
from espnet_posinv.probe.position import FOLDS, index_distances, read_out, shift_changes
from espnet_posinv.ssl.fingerprint import encoder_fingerprint

FORMAT = 2  # of probe.json; results of another format are measured again
INPUT = "log-mel"  # row of the encoder's input, as a baseline: content without encoder


@dataclass(frozen=True)
class Settings:
    """Size of the probe; the defaults take minutes on two cores with an encoder of a few million weights."""

    utterances: int = 60  # segments of speech for position; a quarter of them for the layer rules
    seconds: float = 4.0  # length of a segment
    gap: float = 1.0  # smallest difference in seconds of indices that count as different
    hops: tuple[int, ...] = (1, 5, 25, 50)  # frames by which content is moved
    criterions: tuple[str, ...] = PAPER  # to minimise by gradient descent; empty for none
    exploit_utterances: int = 8  # waveforms optimised together
    exploit_seconds: float = 2.0  # their length
    steps: int = 50  # of a descent
    seed: int = 0  # of all random draws
    device: str = "cpu"  # of the encoder


def probe(
    upstream: str, data: str | Path, settings: Settings | None = None, say: Callable[[str], None] = print
) -> dict:
    """Measure an encoder on the speech of a data directory.

    Args:
        upstream: the encoder; see :func:`espnet_posinv.ssl.load_encoder`.
        data: Kaldi data directory with wav.scp; if there is spk1.scp, it is the speech and the difference is
            the noise (else speech-shaped noise).
        settings: size of the probe.
        say: receives a line of progress at each step.

    Returns:
        The result for :func:`espnet_posinv.probe.report.write_probe`: plain types only, None for undefined
        values.

    Raises:
        DataError: the data directory is unusable or too small.
        ValueError: the encoder cannot be loaded, or a criterion is unknown.
    """
    s = settings or Settings()
    if s.utterances < 2 * FOLDS:
        raise DataError(f"{s.utterances} segments of speech (--utterances): {2 * FOLDS} or more are needed")
    classes = {name: criterion_class(name) for name in s.criterions}
    began = time.time()
    encode = HiddenStates(upstream, s.device)
    rate, per_second = encode.rate, encode.rate / encode.hop
    gap, samples = round(s.gap * per_second), int(s.seconds * rate)
    frames = max(0, int(encode.layers.frame_lengths(torch.tensor([samples]))))
    if max(gap, *s.hops) >= frames:
        most = f"gap {gap} and hops {' '.join(map(str, s.hops))} must be less"
        raise DataError(f"segments of {s.seconds:g} s have {frames} frames: {most}; lengthen them")
    speech, noise = read_speech(data, rate)
    signals = [speech] if noise is None else [speech, noise]
    wav, *noises = stationary_crops(signals, samples, s.utterances, s.seed)
    say(f"{encode.label}: {len(wav)} segments of {s.seconds:g} s of {len(speech)} utterances")

    started = time.monotonic()
    states = encode(wav)
    pace = (time.monotonic() - started) / (s.utterances * s.seconds)  # of the encoder, a second of audio
    say(f"at this pace {time_left(pace * _audio_to_encode(s))}")
    frames = states["0"].shape[1]
    mel = torch.stack([logmel(x) for x in wav.numpy()])[:, :frames]
    rows: dict[str, dict] = {}
    for name, x in {INPUT: mel, **states}.items():
        rows[name] = read_out(x, seed=s.seed) | {"index": asdict(index_distances(x, gap))}
    say("position predicted, distances by index")
    other = {name: rows[name]["index"]["other"] for name in states}
    half = {name: x[: s.utterances // 2] for name, x in states.items()}
    for name, change in shift_changes(encode, wav[: s.utterances // 2], half, other, s.hops).items():
        rows[name]["shift"] = change
    say("shifts")
    few = max(8, len(wav) // 4)
    for name, value in sound_clusters(encode, wav[:few], seed=s.seed).items():
        rows[name]["clusters"] = value
    masks = noises[0][:few] if noises else speech_shaped_noise(wav[:few], s.seed)
    for name, value in noise_monotony(encode, wav[:few], masks).items():
        rows[name]["noise"] = value
    say("layer rules")
    (clean,) = stationary_crops([speech], int(s.exploit_seconds * rate), s.exploit_utterances, s.seed + 1)
    exploits = {}
    for name, criterion in classes.items():
        found = exploit(criterion(upstream, sample_rate=rate), clean.to(s.device), steps=s.steps, seed=s.seed)
        exploits[name] = asdict(found)
        say(f"descent of {name} done")
    return {
        "inputs": inputs(upstream, data, s),
        "upstream": upstream,
        "label": encode.label,
        "data": str(data),
        "settings": asdict(s),
        "segments": len(wav),
        "frames_per_second": per_second,
        "noise": "of the data" if noises else "speech-shaped",
        "snrs": list(SNRS),
        "states": rows,
        "exploit": exploits,
        "seconds": round(time.time() - began),
    }


def _audio_to_encode(s: Settings) -> float:
    """Approximate seconds of audio that the rest of a probe encodes; a gradient counts twice."""
    shifts = (len(s.hops) + 1) * s.utterances // 2 * s.seconds
    rules = 20 * max(8, s.utterances // 4) * s.seconds
    descents = 4 * len(s.criterions) * s.steps * s.exploit_utterances * s.exploit_seconds
    return shifts + rules + descents


def inputs(upstream: str, data: str | Path, settings: Settings) -> dict:
    """All inputs of a probe, JSON-compatible: fingerprints of encoder and audio, settings."""
    lists = [Path(data) / name for name in ("wav.scp", "spk1.scp")]
    audio = [fingerprint(read_scp(path)) for path in lists if path.exists()]
    found = {"format": FORMAT, "encoder": encoder_fingerprint(upstream), "audio": audio}
    return json.loads(json.dumps({**found, "settings": asdict(settings)}))
