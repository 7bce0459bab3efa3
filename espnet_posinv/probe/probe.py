"""The position probe: is the loss of this frozen encoder positional, in which layer, and can it be exploited?

Everything is measured on real speech; nothing is trained but linear read-outs and waveforms.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from espnet_posinv.convergence.measure import encoder_fingerprint
from espnet_posinv.criterions import PAPER, criterion_class
from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.audio import fingerprint
from espnet_posinv.kaldi.scp import read_scp
from espnet_posinv.probe.exploit import exploit
from espnet_posinv.probe.hidden import HiddenStates, read_speech, stationary_crops
from espnet_posinv.probe.layers import SNRS, noise_monotony, sound_clusters, speech_shaped_noise
from espnet_posinv.probe.position import index_distances, read_out, shift_changes
from espnet_posinv.probe.ssl_quality import logmel
from espnet_posinv.report.markdown import markdown

INPUT = "log-mel"  # the row of what goes in: what a frame's content alone tells of its position


@dataclass(frozen=True)
class Settings:
    """How much is measured; the defaults take minutes on two cores with an encoder of a few million weights.

    Args:
        utterances: stretches of speech for position; a quarter of them for the layer rules.
        seconds: length of a stretch.
        gap: seconds between indices that count as different.
        hops: by how many frames content is moved.
        criterions: that are descended; empty for none.
        exploit_utterances: waveforms that descend together.
        exploit_seconds: their length.
        steps: of a descent.
        seed: of every draw.
        device: of the encoder.
    """

    utterances: int = 60
    seconds: float = 4.0
    gap: float = 1.0
    hops: tuple[int, ...] = (1, 5, 25, 50)
    criterions: tuple[str, ...] = PAPER
    exploit_utterances: int = 8
    exploit_seconds: float = 2.0
    steps: int = 50
    seed: int = 0
    device: str = "cpu"


def probe(
    upstream: str, data: str | Path, settings: Settings | None = None, say: Callable[[str], None] = print
) -> dict:
    """Measure an encoder on the speech of a data directory.

    Args:
        upstream: the encoder; see :func:`espnet_posinv.ssl.load_encoder`.
        data: Kaldi data directory with wav.scp; with spk1.scp beside it, that is the speech and the
            difference the noise (speech-shaped noise otherwise).
        settings: how much is measured.
        say: takes a line at each step.

    Returns:
        What `write_probe` writes: plain types only, None where a value does not exist.

    Raises:
        DataError: the data directory is unusable or too small.
        ValueError: the encoder cannot be loaded, or a criterion is unknown.
    """
    s = settings or Settings()
    classes = {name: criterion_class(name) for name in s.criterions}
    began = time.time()
    encode = HiddenStates(upstream, s.device)
    rate, per_second = encode.rate, encode.rate / encode.hop
    speech, noise = read_speech(data, rate)
    signals = [speech] if noise is None else [speech, noise]
    wav, *noises = stationary_crops(signals, int(s.seconds * rate), s.utterances, s.seed)
    say(f"{encode.label}: {len(wav)} stretches of {s.seconds:g} s of {len(speech)} utterances")

    states = encode(wav)
    frames = states["0"].shape[1]
    mel = torch.stack([logmel(x) for x in wav.numpy()])[:, :frames]
    gap = round(s.gap * per_second)
    rows: dict[str, dict] = {}
    for name, x in {INPUT: mel, **states}.items():
        rows[name] = read_out(x, seed=s.seed) | {"index": _plain(index_distances(x, gap))}
    say("position read out, distances by index")
    other = {name: rows[name]["index"]["other"] for name in states}
    for name, change in shift_changes(
        encode, wav[: s.utterances // 2], _head(states, s), other, s.hops
    ).items():
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
        exploits[name] = {k: v for k, v in _plain(found).items() if k != "waveform"}
        say(f"exploit {name}: {_percent(found.fall)} of the loss gone")
    return {
        "inputs": inputs(upstream, data, s),
        "upstream": upstream,
        "label": encode.label,
        "data": str(data),
        "settings": asdict(s),
        "stretches": len(wav),
        "frames_per_second": per_second,
        "noise": "of the data" if noises else "speech-shaped",
        "snrs": list(SNRS),
        "states": rows,
        "exploit": exploits,
        "seconds": round(time.time() - began),
    }


def inputs(upstream: str, data: str | Path, settings: Settings) -> dict:
    """All that a probe's numbers depend on, as JSON has it: files of encoder and audio, settings."""
    lists = [Path(data) / name for name in ("wav.scp", "spk1.scp")]
    audio = [fingerprint(read_scp(path)) for path in lists if path.exists()]
    found = {"encoder": encoder_fingerprint(upstream), "audio": audio, "settings": asdict(settings)}
    return json.loads(json.dumps(found))


def read_probe(folder: str | Path, expected: dict) -> dict | None:
    """The probe in `folder` if it is whole and was made of these inputs."""
    folder = Path(folder)
    try:
        result = json.loads((folder / "probe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = all((folder / name).is_file() for name in ("probe.md", "probe.png"))
    return result if whole and result.get("inputs") == expected else None


def write_probe(result: dict, folder: str | Path) -> None:
    """Write probe.json, probe.md and probe.png into `folder`."""
    from espnet_posinv.probe.figure import plot_probe

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "probe.json") as file:
        json.dump(result, file, indent=1, allow_nan=False)
        file.write("\n")
    plot_probe(result, folder / "probe.png")
    with atomic_write(folder / "probe.md") as file:
        file.write(describe(result))


def describe(result: dict) -> str:
    """The tables of a probe as Markdown, with what each column means."""
    s = result["settings"]
    hops = s["hops"]
    far = len(hops) - 1
    rows = []
    for name, row in result["states"].items():
        index = row["index"]
        cells = [_spread(row["r2"]), f"{row['shuffled'][0]:.2f}"]
        cells.append(f"{index['ratio']:.3f} [{index['low']:.3f}, {index['high']:.3f}]")
        if "shift" in row:
            front, behind = row["shift"]["front"], row["shift"]["behind"]
            cells += [f"{front[0]:.3f}", f"{front[far]:.3f}", f"{behind[far]:.3f}"]
            cells += [_spread(row["clusters"]), f"{row['noise']['spearman']:.2f}"]
        else:
            cells += ["-"] * 5
        rows.append([name, *cells])
    head = ["state", "R² of position", "shuffled", "same / other index", f"moved {hops[0]}"]
    head += [f"moved {hops[far]}", f"{hops[far]} behind", "sounds cluster", "noise"]
    parts = [
        f"# Position probe: {result['label']}",
        f"`{result['upstream']}` on `{result['data']}`: {result['stretches']} stretches of "
        f"{s['seconds']:g} s, {result['seconds']} s of computation.",
        "![probe](probe.png)",
        markdown(head, rows),
        "- **R² of position**: how well a linear function of one frame tells its index, on held-out "
        "utterances (mean and range of four folds); *shuffled*: the same with the frames of each utterance "
        f"in random order. Row {INPUT} is what the content itself tells.\n"
        "- **same / other index**: mean squared distance of frames of different utterances at one index "
        f"over that at indices {s['gap']:g} s or more apart, with its 95 % interval (jackknife over "
        "utterances). 1: position does not matter; 1 minus the value is the positional share.\n"
        "- **moved k**: mean squared change of a frame when its content comes k frames later, over the "
        "distance to a frame of another utterance; *behind*: the same silence behind the content, which "
        "moves nothing.\n"
        "- **sounds cluster**: adjusted Rand index of k-means clusters and sounds, each at nine speeds. "
        "**noise**: rank correlation of a frame's distance from the clean one with the noise (rules of "
        "FINALLY, arXiv 2410.05920).",
    ]
    if result["exploit"]:
        parts += ["## Descent from noise that says nothing", _exploit_table(result)]
        parts.append(
            "The criterion's fall from speech-shaped noise after gradient descent on the samples "
            f"({s['steps']} updates), how much of the fall is left when the clean speech is encoded k frames "
            "later, and how much nearer the log-mel spectrogram came to that of the speech."
        )
    return "\n\n".join(parts) + "\n"


def _exploit_table(result: dict) -> str:
    shifts = next(iter(result["exploit"].values()))["shifts"]
    head = ["criterion", "fall of the loss, %", *(f"left when moved {k}, %" for k in shifts)]
    rows = [
        [name, *(_percent(v) for v in (row["fall"], *row["kept"], row["spectrum"]))]
        for name, row in result["exploit"].items()
    ]
    return markdown([*head, "nearer in log-mel, %"], rows)


def _head(states: dict, s: Settings) -> dict:
    return {name: x[: s.utterances // 2] for name, x in states.items()}


def _plain(value) -> dict:
    """A dataclass as JSON takes it."""

    def convert(v):
        if isinstance(v, torch.Tensor):
            return None
        if hasattr(v, "tolist"):
            v = v.tolist()
        if isinstance(v, list | tuple):
            return [convert(x) for x in v]
        return None if isinstance(v, float) and not math.isfinite(v) else v

    return {k: convert(v) for k, v in vars(value).items()}


def _spread(value: Sequence[float]) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"


def _percent(value: Sequence[float | None]) -> str:
    if value[0] is None or not math.isfinite(value[0]):
        return "-"
    return f"{100 * value[0]:.0f} [{100 * value[1]:.0f}, {100 * value[2]:.0f}]"
