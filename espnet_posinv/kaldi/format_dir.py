"""Formatting the audio of a data directory: all signals of an utterance alike, segments cut out."""

from collections.abc import Iterator
from pathlib import Path

from espnet_posinv.kaldi import schema
from espnet_posinv.kaldi.datadir import DataDir, write_data_dir
from espnet_posinv.kaldi.format import Formatted, format_wav_scp
from espnet_posinv.kaldi.format_jobs import format_by_jobs
from espnet_posinv.kaldi.scp import DataError


def format_data_dir(
    data: DataDir,
    target: str | Path,
    *,
    rate: int | None = None,
    audio_format: str = "wav",
    jobs: int | None = None,
    command: str = "",
) -> dict[str, Formatted]:
    """Format wav.scp, spk1.scp, noise1.scp, ... and copy the other lists of the utterances.

    In the result, recordings are utterances, so segments and lists by recording are left out.
    utt2num_samples (and utt2fs, if it exists) describe the new audio, which is in ``target/data/<signal>``.

    Args:
        rate: Hz; default: unchanged.
        audio_format: "wav" or "flac".
        jobs: processes, or jobs of the launcher.
        command: a launcher and its options, like ``utils/slurm.pl --mem 2G``; default: processes of this
            machine. Logs go to ``target/logs``.

    Returns:
        The results, by file name.

    Raises:
        DataError: audio that cannot be used; a reference with another length than its mixture.
    """
    target = Path(target)
    signals = sorted(filter(schema.is_audio, data.names), key=lambda name: (name != "wav.scp", name))
    if "wav.scp" not in signals:
        raise DataError(f"{data.path}/wav.scp: no such file; there is no audio to format")
    results = {}
    for name in signals:
        by_reco = data.segmented and data.keyed_by(name, data.read(name)) == "reco"
        scp, folder = data.path / name, target / "data" / name.removesuffix(".scp")
        how = {
            "segments": data.path / "segments" if by_reco else None,
            "rate": rate,
            "audio_format": audio_format,
        }
        if command:
            log_dir = target / "logs" / folder.name
            results[name] = _by_jobs(command, scp, folder, log_dir, list(data.utts), jobs or 8, **how)
        else:
            results[name] = format_wav_scp(scp, folder, keys=list(data.utts), jobs=jobs, **how)
        _compare_lengths(data.path / name, results[name].samples, results, list(data.utts))
    write_data_dir(target, _tables(data, results, rate), verbatim=data.verbatim)
    return results


def _by_jobs(
    command: str,
    scp: Path,
    folder: Path,
    log_dir: Path,
    utts: list[str],
    jobs: int,
    *,
    segments: Path | None,
    rate: int | None,
    audio_format: str,
) -> Formatted:
    """format_wav_scp by a launcher; samples limited to full scale are in the logs."""
    options = ["--audio-format", audio_format, "--fs", str(rate or "none")]
    options += ["--segments", str(segments)] if segments else []
    paths, samples = format_by_jobs(command, options, str(scp), utts, log_dir, str(folder), jobs)
    return Formatted(paths, {utt: int(count) for utt, count in samples.items()}, 0, len(paths))


def _compare_lengths(
    path: Path, samples: dict[str, int], results: dict[str, Formatted], utts: list[str]
) -> None:
    """Raise unless a signal has all utterances, with the same lengths as the earlier signals."""
    if missing := [utt for utt in utts if utt not in samples]:
        raise DataError(
            f"{path}: lacks {len(missing)} utterances, like {missing[0]!r}; run utils/fix_data_dir.sh"
        )
    for name, other in results.items():
        differ = [utt for utt in utts if samples[utt] != other.samples[utt]]
        if differ:
            utt = differ[0]
            raise DataError(
                f"{path}: {len(differ)} utterances are not as long as in {name}, like {utt!r} with "
                f"{samples[utt]} and {other.samples[utt]} samples; references must be aligned with mixtures"
            )


def _tables(
    data: DataDir, results: dict[str, Formatted], rate: int | None
) -> Iterator[tuple[str, dict[str, str]]]:
    for name in data.names:
        if name in ("segments", "spk2utt", "utt2num_samples"):
            continue
        if name in results:
            yield name, results[name].path
        elif name == "utt2fs" and rate:
            yield name, dict.fromkeys(data.utts, str(rate))
        else:
            table = data.read(name)
            if not (data.segmented and data.keyed_by(name, table) == "reco"):
                yield name, table
    samples = next(iter(results.values())).samples
    yield "utt2num_samples", {utt: str(count) for utt, count in samples.items()}
