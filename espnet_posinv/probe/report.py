"""A position probe as a section of a report: two tables, and what their columns mean."""

import json
from collections.abc import Sequence
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.probe.figure import save_probe
from espnet_posinv.probe.probe import INPUT
from espnet_posinv.report.document import Picture, Section, Table, interval
from espnet_posinv.report.markdown import write_study


def read_probe(folder: str | Path, expected: dict) -> dict | None:
    """The probe in `folder` if it was made of these inputs."""
    try:
        result = json.loads((Path(folder) / "probe.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if result.get("inputs") == expected else None


def write_probe(result: dict, folder: str | Path) -> None:
    """Write probe.json, probe.md, probe.png, and section.json for the report of an experiment."""
    folder = Path(folder)
    with atomic_write(folder / "probe.json") as file:
        json.dump(result, file, indent=1, allow_nan=False)
        file.write("\n")
    save_probe(result, folder / "probe.png")
    write_study(section(result, folder / "probe.png"), folder, "probe")


def section(result: dict, picture: Path) -> Section:
    """The tables of a probe, with what each column means."""
    settings = result["settings"]
    speech = (
        f"{result['upstream']} on {result['data']}: {result['stretches']} stretches of "
        f"{settings['seconds']:g} s, {result['seconds']} s of computation."
    )
    blocks = [
        speech,
        Picture(str(picture), f"Position probe of {result['label']}: the tables below as curves"),
        _states(result),
        "Position read from one frame: R² of a linear read-out of a frame's index, on held-out utterances "
        "(mean and range of four folds); shuffled: the same with the frames of each utterance in random "
        f"order. Row {INPUT} is what the content itself tells.",
        "Distance at the same position: mean squared distance of frames of different utterances at one "
        f"index over that at indices {settings['gap']:g} s or more apart, with its 95 % interval (jackknife "
        "over utterances). 1: position does not matter; 1 minus the value is the share of the distance that "
        "is position.",
        "Change: mean squared change of a frame when silence is put before the speech, so that its content "
        "comes later, or after it, which moves nothing; 1 is the distance to a frame of another utterance.",
        "Two rules of FINALLY (arXiv 2410.05920) for the layer to compare. Same sounds cluster: adjusted "
        "Rand index of k-means clusters and sounds, each at nine speeds. Distance grows with noise: rank "
        "correlation of a frame's distance from the clean one with the noise.",
    ]
    if result["exploit"]:
        text = (
            "Noise with the spectrum of speech is changed by gradient descent on its samples "
            f"({settings['steps']} updates) to lower each criterion. How far the criterion falls, how much "
            "of that fall is left when the clean speech is encoded later, and how much nearer the log-mel "
            "spectrogram comes to that of the speech: a loss that falls through position or through what is "
            "not speech can be deceived."
        )
        blocks.append(Section("Can noise lower the loss?", [text, _descents(result)]))
    return Section(f"Position probe: {result['label']}", blocks)


def _states(result: dict) -> Table:
    hops = result["settings"]["hops"]
    last = hops[-1]
    rows = []
    for name, row in result["states"].items():
        index = (row["index"]["ratio"], row["index"]["low"], row["index"]["high"])
        cells = [_range(row["r2"]), f"{row['shuffled'][0]:.2f}", interval(index, ".3f")]
        if "shift" in row:
            front, behind = row["shift"]["front"], row["shift"]["behind"]
            cells += [f"{value:.3f}" for value in (front[0], front[-1], behind[-1])]
            cells += [_range(row["clusters"]), f"{row['noise']['spearman']:.2f}"]
        rows.append([name, *cells, *["-"] * (8 - len(cells))])
    head = ["hidden state", "position read from one frame, R²", "R², frames shuffled"]
    head += ["distance at the same position / at others"]
    head += [f"change, {_frames(hops[0])} later", f"change, {_frames(last)} later"]
    return Table(
        [*head, f"change, silence after ({last})", "same sounds cluster", "distance grows with noise"], rows
    )


def _descents(result: dict) -> Table:
    shifts = next(iter(result["exploit"].values()))["shifts"]
    head = ["criterion", "fall of the loss, %", *(f"of it left {_frames(k)} later, %" for k in shifts)]
    rows = [
        [name, *(_percent(share) for share in (row["fall"], *row["kept"], row["spectrum"]))]
        for name, row in result["exploit"].items()
    ]
    return Table([*head, "log-mel distance removed, %"], rows)


def _frames(count: int) -> str:
    return f"{count} frame{'s' * (count > 1)}"


def _range(value: Sequence[float]) -> str:
    return f"{value[0]:.2f} ({value[1]:.2f} to {value[2]:.2f})"


def _percent(share: Sequence[float | None]) -> str:
    return interval([None if value is None else 100 * value for value in share], ".0f")
