"""Cut a small corpus in exactly LibriSpeech's and DEMAND's layout from real recordings.

    python test/corpora/small_corpus.py OUTPUT [--downloads egs2/mini_debian/downloads]

The recordings are those of the mini recipe (telephone prompts, sounds of games), fetched when missing; see
SOURCES.md there for licences. Readers and chapters have numbers, transcripts are upper case, every
environment has 16 microphones; some parts are tarballs and zips, as users have them too.
"""

import argparse
import io
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.demand import CHANNELS, ENVIRONMENTS
from espnet_posinv.corpora.noises import _roots as noise_folders
from espnet_posinv.corpora.prompts import Prompt, prompts
from espnet_posinv.sample_rate import SAMPLE_RATE

# part: (language, reader, chapters, utterances a chapter)
READERS = {
    "train-clean-100": (("fr", "103", ("1240", "1241"), 8), ("it", "1034", ("121119",), 8)),
    "dev-clean": (("ru", "84", ("121123", "121550"), 10),),
    "test-clean": (("en", "1089", ("134686", "134691"), 4),),
}
TARBALLS = ("test-clean",)
ZIPPED = ("TBUS", "STRAFFIC")
SECONDS = (1.5, 6.0)
NOISE_SECONDS = 8.0


def make(output: Path, downloads: Path) -> None:
    """Write ``output/LibriSpeech``, ``output/test-clean.tar.gz`` and ``output/DEMAND``."""
    make_librispeech(output, downloads)
    make_demand(output / "DEMAND", downloads)


def make_librispeech(output: Path, downloads: Path) -> None:
    root = output / "LibriSpeech"
    for part, readers in READERS.items():
        for language, reader, chapters, count in readers:
            chosen = iter(_sentences(prompts(language, downloads)))
            for chapter in chapters:
                _write_chapter(root / part / reader / chapter, [next(chosen) for _ in range(count)])
    lines = [f"{r:<5}| F | {part:<16} | 1.00 | Nobody" for part, rs in READERS.items() for _, r, _, _ in rs]
    (root / "SPEAKERS.TXT").write_text(
        ";ID  |SEX| SUBSET           |MINUTES| NAME\n" + "\n".join(lines) + "\n"
    )
    for part in TARBALLS:
        with tarfile.open(output / f"{part}.tar.gz", "w:gz") as tar:
            tar.add(root / "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT")
            tar.add(root / part, f"LibriSpeech/{part}")
        shutil.rmtree(root / part)


def _sentences(found: list[Prompt]) -> list[tuple[str, np.ndarray]]:
    """Texts as LibriSpeech writes them, with their samples; other spellings than letters are passed over."""
    result = []
    for prompt in found:
        text = re.sub(r"[.,!?;:]", " ", prompt.text)
        words = text.replace("-", " ").upper().split()
        if len(words) < 3 or any(not re.fullmatch(r"[^\W\d_]+('[^\W\d_]+)?", word) for word in words):
            continue
        samples = prompt.read()
        if SECONDS[0] <= len(samples) / SAMPLE_RATE <= SECONDS[1]:
            result.append((" ".join(words), samples))
        if len(result) == 24:
            break
    return result


def _write_chapter(folder: Path, sentences: list[tuple[str, np.ndarray]]) -> None:
    folder.mkdir(parents=True)
    prefix = f"{folder.parent.name}-{folder.name}"
    lines = []
    for i, (text, samples) in enumerate(sentences):
        soundfile.write(folder / f"{prefix}-{i:04d}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
        lines.append(f"{prefix}-{i:04d} {text}\n")
    (folder / f"{prefix}.trans.txt").write_text("".join(lines), encoding="utf-8")


def make_demand(output: Path, downloads: Path) -> None:
    """18 environments; SCAFE at 48 kHz and zipped, as published."""
    for environment, noise in zip(ENVIRONMENTS, _noises(downloads), strict=True):
        rate = 48000 if environment == "SCAFE" else SAMPLE_RATE
        files = {}
        for channel in range(CHANNELS):
            buffer = io.BytesIO()
            moved = np.roll(
                np.repeat(noise, rate // SAMPLE_RATE), 7 * channel
            )  # each microphone hears it elsewhere
            soundfile.write(buffer, moved, rate, subtype="PCM_16", format="WAV")
            files[f"{environment}/ch{channel + 1:02d}.wav"] = buffer.getvalue()
        output.mkdir(parents=True, exist_ok=True)
        if environment in ZIPPED or environment == "SCAFE":
            with zipfile.ZipFile(output / f"{environment}_{rate // 1000}k.zip", "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            continue
        (output / environment).mkdir()
        for name, content in files.items():
            (output / name).write_bytes(content)


def _noises(downloads: Path) -> list[np.ndarray]:
    """As many recordings as there are environments, the longest ones, each brought to one length."""
    roots = noise_folders(downloads, ())
    files = sorted(p for root in ("lc", "uf") for p in roots[root].rglob("*") if p.suffix in (".wav", ".ogg"))
    files.sort(key=lambda path: (-path.stat().st_size, path.name))
    result = []
    for path in files:
        noise = read_audio(path)
        if np.abs(noise).max() > 0.05:
            result.append(np.resize(noise, round(NOISE_SECONDS * SAMPLE_RATE)))
        if len(result) == len(ENVIRONMENTS):
            return result
    raise ValueError(f"{len(result)} noises found, {len(ENVIRONMENTS)} are needed")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="folder, must not exist")
    root = Path(__file__).parents[2]
    parser.add_argument("--downloads", type=Path, default=root / "egs2/mini_debian/downloads")
    args = parser.parse_args()
    make(args.output, args.downloads)


if __name__ == "__main__":
    main()
