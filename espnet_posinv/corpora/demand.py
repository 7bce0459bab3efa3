"""DEMAND (Thiemann et al., 2013): 18 environments, 16 microphones, five minutes each; one microphone of it.

The layout is the corpus's own: ``TBUS/ch01.wav`` ... ``ch16.wav`` or ``TBUS_16k/TBUS/ch01.wav`` in any
folder, or the zips of Zenodo's record 1227121, which need not be unpacked. Recordings at 48 kHz are
resampled: SCAFE is published at 48 kHz only, the other environments at both rates.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from espnet_posinv.corpora.download import download
from espnet_posinv.files import atomic_write, replacing
from espnet_posinv.kaldi.audio import read_channel
from espnet_posinv.kaldi.entry import state
from espnet_posinv.kaldi.scp import DataError, write_scp
from espnet_posinv.sample_rate import SAMPLE_RATE

RATES = (SAMPLE_RATE, 48000)  # as published
CHANNELS = 16
SOURCES = (
    "https://zenodo.org/records/1227121/files/{}?download=1",
    "https://zenodo.org/api/records/1227121/files/{}/content",
)
# name: (MD5, bytes) of the zip, as Zenodo publishes them
INDOOR = {
    "DKITCHEN": ("7ffbf52d7f4699f96927846103dc8788", 110501049),
    "DLIVING": ("46741384d9e434a0bd8b3ec1830b6052", 80170627),
    "DWASHING": ("7e5ee9437ce9409c5f9a779b6212a240", 102343250),
    "OHALLWAY": ("fe918bbb0e63e73d09ba7f4843ef33f1", 77941854),
    "OMEETING": ("62f7cfe7fe6d30b7d8a215fe37c2dfd2", 82703355),
    "OOFFICE": ("7b61cc2d182d5a654cb9c3101ddd4041", 88995191),
    "PCAFETER": ("99927d148128254141a9417d051510bb", 107431494),
    "PRESTO": ("b98d2e6854eeebb397f29a8ad7457092", 111292815),
    "PSTATION": ("d7448009f6c2aeb6ba570375df1750a3", 119441094),
    "TBUS": ("706b11b0d8504f9f3b3f3211e91b3863", 128916709),
    "TCAR": ("4d930012796bd298932245a26189f973", 130045975),
    "TMETRO": ("95daf4df678e13b120e14211e6d89571", 126589090),
}
OUTDOOR = {
    "NFIELD": ("a740046c6f4e174e16f5d568aaec5024", 86536782),
    "NPARK": ("80f1385a34d7f1705758926b57f138ce", 86029332),
    "NRIVER": ("54264db61d3fe073fb81f2e40e0d19b5", 98689565),
    "SCAFE": ("1a4ee387f1900f4b15ba219481c76556", 326000000),
    "SPSQUARE": ("205d0e7b8fe74504a2f8d252fc414b9e", 110928528),
    "STRAFFIC": ("2efa87262f272bbf9ba578088e81939c", 118572691),
}
ENVIRONMENTS = {**INDOOR, **OUTDOOR}
# Parts of each indoor recording: training and the seen test use different minutes.
SHARES = {"train": (0.0, 0.6), "valid": (0.6, 0.7), "seen": (0.7, 1.0)}


class Recording(NamedTuple):
    """A microphone's recording: a wav file, or the member of a zip."""

    path: Path
    member: str | None = None


def zip_name(environment: str) -> str:
    """Name under which an environment is published."""
    return f"{environment}_{'48k' if environment == 'SCAFE' else '16k'}.zip"


def find_recording(
    environment: str,
    own: Path | None,
    downloads: Path,
    *,
    channel: int = 1,
    sources: Sequence[str] = SOURCES,
    say: Callable[[str], None] = print,
) -> Recording:
    """One microphone of an environment: from the user's folder or zips, or fetched from Zenodo.

    Args:
        environment: like ``TBUS``.
        own: the user's folder, with environments, their ``_16k`` folders or their zips, or with a DEMAND
            folder of these; None: fetch what `downloads` does not have.
        downloads: keeps the zips.
        channel: number of the microphone, from 1.

    Raises:
        DataError: no such environment or microphone, or nothing of it in `own`.
        FetchError: it cannot be fetched.
    """
    if environment not in ENVIRONMENTS:
        raise DataError(f"DEMAND has no environment {environment!r}; there are {', '.join(ENVIRONMENTS)}")
    if not 1 <= channel <= CHANNELS:
        raise DataError(f"DEMAND has microphones 1 to {CHANNELS}, not {channel}")
    wav = f"{environment}/ch{channel:02d}.wav"
    roots = (own, own / "DEMAND") if own is not None else (Path(downloads),)
    for root in roots:
        for path in (root / wav, root / f"{environment}_16k" / wav, root / f"{environment}_48k" / wav):
            if path.is_file():
                return Recording(path)
        for rate in ("16k", "48k"):
            path = root / f"{environment}_{rate}.zip"
            if path.is_file():
                return Recording(path, wav)
    if own is not None:
        raise DataError(
            f"{own}: neither {wav}, {environment}_16k/{wav} nor {zip_name(environment)} in it or in its "
            "folder DEMAND; correct DEMAND in db.sh, or leave it empty to fetch the corpus"
        )
    md5, size = ENVIRONMENTS[environment]
    name = zip_name(environment)
    say(f"fetching {name}, {size / 1e6:.0f} MB")
    path = download([s.format(name) for s in sources], Path(downloads) / name, md5, say=say)
    return Recording(path, wav)


def origin_of(environment: str, own: Path | None, *, channel: int = 1) -> str:
    """Changes when :func:`find_recording` gives another recording: an own one is told by its size and times.

    Raises:
        DataError: as there.
    """
    if own is None:
        return f"published, microphone {channel}"
    path, member = find_recording(environment, own, own, channel=channel)
    return f"{path} {member or ''} {state(str(path))}"


def read_recording(recording: Recording) -> np.ndarray:
    """Samples (T,) float32 at 16 kHz.

    Raises:
        DataError: the zip is broken or lacks the microphone, or the file is not one channel of audio at a
            rate of the corpus.
    """
    path, member = recording
    name = f"{path}:{member}" if member else str(path)
    data = None
    try:
        if member is not None:
            with zipfile.ZipFile(path) as archive:
                data = archive.read(member)
    except KeyError:
        raise DataError(f"{path}: no {member} in it; is it the zip of this environment?") from None
    except zipfile.BadZipFile as error:
        raise DataError(f"{name}: cannot be read ({error}); fetch it again") from None
    samples, rate = read_channel(name, data=data)
    if rate not in RATES:
        raise DataError(f"{name}: {rate} Hz; DEMAND has 16000 or 48000 Hz: fetch the environment again")
    samples = samples.astype(np.float32)
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE)


def write_noises(
    find: Callable[[str], Recording], target: Path, *, origin: Callable[[str], str] = str
) -> dict[str, float]:
    """Write the noises of each part as 16-bit wav files, and ``<part>.scp`` that lists them by environment.

    Indoor recordings are cut by ``SHARES`` into the parts train, valid and seen; outdoor ones are unseen.
    Files ``<part>/<environment>.wav`` of the same origin that exist are kept. `find` gives the recording of
    an environment, `origin` what changes when its recording is another one (:func:`origin_of`).

    Returns:
        Minutes of each part.
    """
    minutes = {}
    for part in (*SHARES, "unseen"):
        first, last = SHARES.get(part, (0.0, 1.0))
        table, samples = {}, 0
        for environment in OUTDOOR if part == "unseen" else INDOOR:
            path = target / part / f"{environment}.wav"
            note, wanted = path.with_name(f".{path.name}.cut_from"), origin(environment)
            if not path.exists() or not note.exists() or note.read_text(encoding="utf-8") != wanted:
                note.unlink(missing_ok=True)
                noise = read_recording(find(environment))
                noise = noise[round(first * len(noise)) : round(last * len(noise))]
                with replacing(path) as temporary:
                    soundfile.write(temporary, noise, SAMPLE_RATE, subtype="PCM_16", format="WAV")
                with atomic_write(note) as file:
                    file.write(wanted)
            table[environment] = str(path)
            samples += soundfile.info(path).frames
        write_scp(target / f"{part}.scp", table)
        minutes[part] = samples / SAMPLE_RATE / 60
    return minutes
