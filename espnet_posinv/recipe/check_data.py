"""Check that a recipe can use its data directories; all problems are listed.

    posinv recipe check-data --train data/train data/valid --test data/test \
        --fs 16000 --upstream hubert=transformers:FOLDER --recogniser small=whisper:FOLDER

Called at the end of stage 1 and before stage 3, since otherwise a missing or stereo clean signal, a sample
that is not a number, or an utterance that is too short or too long for a model would
stop a stage hours later.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.audio import Info, info_or_error
from espnet_posinv.kaldi.check import Needs, Problem, check_data_dir
from espnet_posinv.kaldi.datadir import read_segments
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.scp import DataError, entries

# Problems that the recipe repairs, or that do not matter to it.
HARMLESS = ("not sorted", "no newline at the end", "its name does not tell")
LONGEST = {"whisper_transformers": 30.0}  # the longest utterance of a back end, seconds


@dataclass(frozen=True)
class Limit:
    """The shortest and longest utterance that a model accepts, in samples of the formatted audio."""

    of: str
    least: int = 1
    most: int | None = None


def check_sets(
    train: Sequence[str | Path],
    test: Sequence[str | Path],
    *,
    fs: int = 16000,
    train_limits: Iterable[Limit] = (),
    test_limits: Iterable[Limit] = (),
    jobs: int | None = None,
) -> Iterator[Problem]:
    """Everything wrong with the data directories.

    Args:
        train: directories of training and validation.
        test: directories of tests; they need transcripts.
        fs: rate in Hz that the audio will be formatted to.
        train_limits, test_limits: of the encoders in the losses, and of the recognisers.
        jobs: processes that open the audio.
    """
    for paths, text, limits in ((train, False, train_limits), (test, True, test_limits)):
        for path in map(Path, paths):
            needs = Needs(text=text, spk_sort=False)
            for problem in check_data_dir(path, needs):
                if not any(words in problem.what for words in HARMLESS):
                    yield problem
            if not path.is_dir():
                continue
            if not (path / "spk1.scp").exists():
                what = "no such file: training and scoring need the clean speech of each utterance"
                yield Problem(str(path / "spk1.scp"), 0, what, "make it as wav.scp, with the same ids")
            yield from check_signals(path, fs, list(limits), jobs)


def check_signals(path: Path, fs: int, limits: list[Limit], jobs: int | None) -> Iterator[Problem]:
    """Open all audio: readable, finite, one channel, references as long as mixtures, within the limits."""
    names = sorted(p.name for p in path.iterdir() if schema.is_audio(p.name))
    mixtures: dict[str, Info] = {}
    for name in sorted(names, key=lambda name: name != "wav.scp"):
        file = path / name
        lines = [line for line in entries(file) if line[2]]
        audio = [entry for _, _, entry in lines]
        opened = parallel_map(info_or_error, audio, label=f"checking {file}", jobs=jobs)
        for (number, key, _), info in zip(lines, opened, strict=True):
            if isinstance(info, str):
                yield Problem(
                    str(file), number, f"{key!r}: {info}", "get the file again, or take the line out"
                )
                continue
            for what, todo in _signal_problems(info, mixtures.get(key)):
                yield Problem(str(file), number, f"{key!r} {what}", todo)
            if name == "wav.scp":
                mixtures[key] = info
    yield from _length_problems(path, mixtures, fs, limits)


def _signal_problems(info: Info, mixture: Info | None) -> Iterator[tuple[str, str]]:
    if info.channels != 1:
        todo = "make one of them, as with: sox IN OUT remix 1"
        yield f"has {info.channels} channels, one is needed", todo
    if mixture and (info.rate, info.samples) != (mixture.rate, mixture.samples):
        has = f"has {info.samples} samples at {info.rate} Hz"
        what = f"{has}, its mixture {mixture.samples} at {mixture.rate} Hz"
        yield what, "make the reference again: it must be aligned with the mixture"


def _length_problems(
    path: Path, mixtures: dict[str, Info], fs: int, limits: list[Limit]
) -> Iterator[Problem]:
    seconds = {key: info.samples / info.rate for key, info in mixtures.items()}
    name = "wav.scp"
    if (path / "segments").exists():
        name = "segments"
        try:
            parts = read_segments(path / "segments")
        except DataError:
            return  # reported already
        ends = {utt: seconds.get(reco, 0.0) if end == -1 else end for utt, (reco, _, end) in parts.items()}
        seconds = {utt: ends[utt] - part.start for utt, part in parts.items() if part.reco in mixtures}
    for key, length in sorted(seconds.items()):
        samples = round(length * fs)
        for limit in limits:
            if samples < limit.least or samples > (limit.most or samples):
                short = samples < limit.least
                bound = f"at least {limit.least}" if short else f"at most {limit.most}"
                what = f"{key!r} has {samples} samples ({length:.3g} s), but {limit.of} takes {bound}"
                todo = "take it out of all files" if short else "cut it, or take it out"
                yield Problem(str(path / name), 0, what, todo)


def encoder_limits(upstreams: Iterable[str]) -> Iterator[Limit]:
    """Limits of SSL models, ``TAG=LOADER:MODEL`` each."""
    from espnet_posinv.ssl import load_encoder

    for text in upstreams:
        encoder = load_encoder(text.partition("=")[2])
        yield Limit(
            f"{text.partition('=')[0]} ({encoder.label})", encoder.min_samples, encoder.network.max_samples
        )


def recogniser_limits(recognisers: Iterable[str], fs: int) -> Iterator[Limit]:
    """Limits of recognisers, ``NAME=BACKEND:MODEL`` each."""
    for text in recognisers:
        name, _, what = text.partition("=")
        if longest := LONGEST.get(what.partition(":")[0]):
            yield Limit(f"recogniser {name}", 1, round(longest * fs))
