"""A data directory of noisy speech from one of clean speech: fixed mixtures for validation and test."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from espnet_posinv.files import complete_lines, replacing
from espnet_posinv.kaldi.audio import as_int16, read_mono
from espnet_posinv.kaldi.datadir import DataDir, write_data_dir
from espnet_posinv.kaldi.entry import fingerprint
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.perturb.random_noise import RandomNoise, noise_files, read_noises
from espnet_posinv.perturb.seeding import generator
from espnet_posinv.sample_rate import SAMPLE_RATE


class Mixed(NamedTuple):
    """A mixture; `reference` is the path of the clean speech as it is in the mixture."""

    noise: str
    snr: str
    reference: str


def mix_data_dir(
    source: str | Path,
    target: str | Path,
    noise_scp: str | Path,
    snrs: Sequence[float],
    *,
    seed: int = 0,
    job: int | None = None,
    jobs: int = 1,
) -> int:
    """Mix each utterance with noise that depends only on its id, the seed, the noises and the ratios.

    Several jobs may share the work: each makes the audio of every `jobs`-th utterance and writes a journal.
    A call without `job` makes the rest, then writes the directory's files. Audio of an earlier call with the
    same settings is kept.

    Args:
        source: data directory of clean speech, one channel at 16 kHz.
        target: data directory to be made; gets wav.scp, spk1.scp, utt2noise, utt2snr, and the source's text
            and utt2spk. Mixtures are 16-bit flac files within it.
        noise_scp: lines ``kind path``, or a folder with a folder of recordings for each kind.
        snrs: dB, of which one is drawn for each utterance.
        job: number of this job, from 1; None: finish.

    Returns:
        Number of utterances mixed by this call.

    Raises:
        DataError: audio that cannot be read or mixed, the utterance is named; or target is source.
    """
    data, target = DataDir(source), Path(target)
    if Path(source).resolve() == target.resolve():
        raise DataError(f"{target}: holds the clean speech; name another folder for the mixtures")
    entries = data.read("wav.scp")
    noises = RandomNoise(read_noises(noise_scp), tuple(snrs))
    folder = target / f"audio-{_digest(entries, noise_scp, snrs, seed)}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = (line for path in sorted(folder.glob("mixed.*")) for line in complete_lines(path))
    rows = (line.split("\t") for line in lines)
    done = {utt: Mixed(*rest) for utt, *rest in rows if len(rest) == 3}  # 0.1.0 wrote blanks: mixed again
    utts = [utt for utt in (list(entries)[job - 1 :: jobs] if job else entries) if utt not in done]
    own = folder / f"mixed.{job or 0}"
    complete_lines(own, repair=True)  # other jobs may be writing to theirs
    with open(own, "a", encoding="utf-8") as journal:
        for utt in utts:
            done[utt] = _mix(utt, entries[utt], folder, noises, seed)
            journal.write("\t".join((utt, *done[utt])) + "\n")
            journal.flush()
    if not job:
        tables = {
            "wav.scp": {utt: str(folder / f"{utt}.flac") for utt in entries},
            "spk1.scp": {utt: done[utt].reference for utt in entries},
            "utt2noise": {utt: done[utt].noise for utt in entries},
            "utt2snr": {utt: done[utt].snr for utt in entries},
            **{name: data.read(name) for name in ("utt2spk", "text") if name in data.names},
        }
        write_data_dir(target, tables.items())
        for old in target.glob("audio-*"):
            if old != folder:
                shutil.rmtree(old)
    return len(utts)


def _mix(utt: str, entry: str, folder: Path, noises: RandomNoise, seed: int) -> Mixed:
    try:
        samples = read_mono(entry).astype(np.float32)
        mixture, kind, snr = noises.mix(samples, generator("noise", utt, seed))
    except DataError as error:
        raise DataError(f"{utt}: {error}") from None
    except ValueError as error:
        raise DataError(f"{utt}: {entry}: {error}") from error
    reference = entry
    if mixture.gain < 1:
        reference = str(folder / "reference" / f"{utt}.flac")
        _write(Path(reference), mixture.speech)
    _write(folder / f"{utt}.flac", mixture.mix)
    return Mixed(kind, f"{snr:g}", reference)


def _write(path: Path, samples: np.ndarray) -> None:
    with replacing(path) as temporary:
        soundfile.write(temporary, as_int16(samples)[0], SAMPLE_RATE, subtype="PCM_16", format="FLAC")


def _digest(entries: dict[str, str], noise_scp: str | Path, snrs: Sequence[float], seed: int) -> str:
    """Hash of everything that the mixtures depend on."""
    files = {f"{kind}/{i}": p for kind, paths in noise_files(noise_scp).items() for i, p in enumerate(paths)}
    audio = fingerprint(entries), fingerprint(files)
    settings = repr((*audio, tuple(map(float, snrs)), seed))
    return hashlib.blake2b(settings.encode(), digest_size=4).hexdigest()
