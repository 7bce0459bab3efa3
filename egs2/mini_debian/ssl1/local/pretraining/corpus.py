"""Speech to pretrain on: recordings of many voices, cleaned and joined into one stream per voice.

A stream is a FLAC file per voice, beside `index.tsv`, which lists every utterance in it, and `voices.tsv`, a
summary. Training crops windows out of streams, so short prompts cost no padding.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from espnet_posinv.corpora import amazon_queen
from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.fetch import unpack
from espnet_posinv.corpora.membership import divide
from espnet_posinv.corpora.prompts import LANGUAGES, prompts
from espnet_posinv.files import new_folder
from espnet_posinv.perturb.noise import active_frames, highpass
from espnet_posinv.sample_rate import SAMPLE_RATE

LEVEL_DB = -26.0
LONGEST_STREAM = 30 * 60 * SAMPLE_RATE  # samples; a longer one begins a new file
SHORTEST_VOICE = 60 * SAMPLE_RATE  # samples; voices with less share a stream


@dataclass(frozen=True)
class Source:
    """Recordings of one archive: which files, and how a file's path tells the voice."""

    archive: str
    pattern: str  # regular expression searched in the path inside the archive; its groups name the voice
    least_snr: float = 0.0  # dB between the loudest and the quietest tenth of the frames: the noise filter


# What corpora.membership holds out is left out (of Asterisk en and es all), and so are the voices of the
# quality test (KLettres and KTuberling in languages that Asterisk has as well).
SOURCES = (
    Source("asterisk-core-sounds-fr-g722", r"sounds/(fr)_CA_f_June/(?!silence|tt-|beep|.*tone).*\.g722$"),
    Source("asterisk-core-sounds-it-g722", r"sounds/(it)_IT_m_Carlo/(?!silence|tt-|beep|.*tone).*\.g722$"),
    Source(
        "asterisk-core-sounds-ru-g722", r"sounds/(ru)_RU_f_IvrvoiceRU/(?!silence|tt-|beep|.*tone).*\.g722$"
    ),
    Source("fillets-ng-data-nl", r"/(nl)/\w+-(m|v)-[^/]*\.ogg$"),
    Source("fillets-ng-data-cs", r"/(cs)/(?:\w+-(m|v)-|(\w+)-)[^/]*\.ogg$", 15),
    Source("tuxpaint-stamps-default", r"_desc_(\w+)\.ogg$", 25),
    Source("hedgewars-data", r"/voices/(?!Robot|Singer)(\w+)/[^/]*\.ogg$", 15),
    Source("klettres-data", r"/klettres/(?!en|es|fr|it|ru)(\w+)/.*\.ogg$", 20),
    Source("ktuberling-data", r"/sounds/(?!en|es|fr|it|ru)([\w@]+)/.*\.(?:ogg|wav|opus)$", 20),
)


@dataclass
class Recording:
    """One utterance `(T,)` float32 at 16 kHz, who says it and what it was cut from."""

    voice: str
    name: str
    samples: np.ndarray


def recordings(
    downloads: Path, own: Iterable[Path] = (), say: Callable[[str], None] = print
) -> Iterator[Recording]:
    """All recordings that pass the filters, level -26 dBFS, silence at both ends cut to 0.1 s."""
    for source in SOURCES:
        root = unpack(source.archive, downloads, own)
        left_out = _left_out(source.archive, downloads, own)
        if strange := [path for path in left_out if not path.is_relative_to(root)]:
            raise ValueError(f"{strange[0]}: held out, but not in {root}: nothing would be left out")
        kept = total = 0
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            match = re.search(source.pattern, path.relative_to(root).as_posix())
            if not match or path in left_out:
                continue
            total += 1
            voice = "-".join([source.archive.split("-")[0], *(g for g in match.groups() if g)])
            samples = _read(path, source.least_snr)
            if samples is not None:
                kept += 1
                yield Recording(voice, path.relative_to(root).as_posix(), samples)
        say(f"{source.archive}: {kept} of {total} recordings kept")
    root = unpack("flight-of-the-amazon-queen", downloads, own)
    kept = 0
    for name, x in amazon_queen.speech(next(root.rglob("queen.1c"))).items():
        samples = _clean(x, 15)
        if samples is not None:
            kept += 1
            yield Recording(f"queen-{amazon_queen.voice(name)}", name, samples)
    say(f"flight-of-the-amazon-queen: {kept} recordings kept")


def _left_out(archive: str, downloads: Path, own: Iterable[Path]) -> set[Path]:
    """Recordings of an archive that are not for training: held-out voices, sentences of the tests."""
    language = next((x for x in LANGUAGES if archive.removesuffix("-g722").endswith(f"-{x}")), None)
    if language is None:
        return set()
    items = prompts(language, downloads, own)
    kept = {p.path for p in divide(items)["train"]}
    if archive.startswith("fillets"):  # who speaks without a transcript is not known
        return set(unpack(archive, downloads, own).rglob("*.ogg")) - kept
    return {p.path for p in items} - kept


def _read(path: Path, least_snr: float) -> np.ndarray | None:
    try:
        return _clean(read_audio(path), least_snr)
    except ValueError:  # an empty or broken file among thousands
        return None


def _clean(x: np.ndarray, least_snr: float) -> np.ndarray | None:
    """The utterance at -26 dBFS, or None when it is too short, silent, clipped or noisy."""
    if len(x) < 0.3 * SAMPLE_RATE or not np.isfinite(x).all():
        return None
    if (np.abs(x) > 0.999 * np.abs(x).max()).mean() > 0.002:
        return None  # clipped: before filtering, which would hide it
    x = highpass(x)
    try:
        active = active_frames(x)
    except ValueError:
        return None
    power = np.sort((x[: len(x) // 320 * 320].reshape(-1, 320) ** 2).mean(1))
    tenth = max(1, len(power) // 10)
    if 10 * np.log10(power[-tenth:].mean() / (power[:tenth].mean() + 1e-12)) < least_snr:
        return None
    where = np.flatnonzero(active)
    x = x[max(0, where[0] - 1600) : where[-1] + 1600]
    level = np.sqrt((x[active_frames(x)].astype(np.float64) ** 2).mean())
    return np.clip(x * np.float32(10 ** (LEVEL_DB / 20) / level), -0.99, 0.99)


def write_streams(folder: Path, items: Iterable[Recording]) -> float:
    """Write streams and `index.tsv` (file, voice, name, first sample, samples); returns the hours.

    Args:
        folder: appears only when complete.
        items: recordings in any order.
    """
    with new_folder(folder) as part:
        voices: dict[str, list[Recording]] = {}
        for item in items:
            voices.setdefault(item.voice, []).append(item)
        for voice, spoken in list(voices.items()):
            if sum(len(r.samples) for r in spoken) < SHORTEST_VOICE:
                voices.setdefault(voice.split("-")[0] + "-others", []).extend(voices.pop(voice))
        rows, total = [], 0
        for voice, spoken in sorted(voices.items()):
            streams: list[list[Recording]] = [[]]
            for item in spoken:
                if sum(len(r.samples) for r in streams[-1]) + len(item.samples) > LONGEST_STREAM:
                    streams.append([])
                streams[-1].append(item)
            for i, stream in enumerate(streams):
                name = f"{voice}.{i}.flac"
                x = np.concatenate([r.samples for r in stream])
                sf.write(part / name, x, SAMPLE_RATE, subtype="PCM_16")
                start = 0
                for r in stream:
                    rows.append(f"{name}\t{r.voice}\t{r.name}\t{start}\t{len(r.samples)}")
                    start += len(r.samples)
                total += start
        (part / "index.tsv").write_text("\n".join(["file\tvoice\tname\tstart\tsamples", *rows]) + "\n")
        (part / "voices.tsv").write_text(voices_table(rows))
    return total / SAMPLE_RATE / 3600


def voices_table(rows: Iterable[str]) -> str:
    """Voice, recordings and minutes, a line a voice, from the lines of `index.tsv` without its head."""
    counts: dict[str, list[int]] = {}
    for row in rows:
        _, voice, _, _, samples = row.split("\t")
        entry = counts.setdefault(voice, [0, 0])
        entry[0] += 1
        entry[1] += int(samples)
    lines = [
        f"{voice}\t{n}\t{samples / SAMPLE_RATE / 60:.2f}" for voice, (n, samples) in sorted(counts.items())
    ]
    return "\n".join(["voice\trecordings\tminutes", *lines]) + "\n"
