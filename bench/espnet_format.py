#!/usr/bin/env python3
"""Stands in for ESPnet's pyscripts/audio/format_wav_scp.py in espnet_recipes.sh: same arguments and lists, no audio.

The original imports much for each of hundreds of jobs; what is compared there are the lists.
"""

import argparse
import io
import subprocess
from pathlib import Path

import soundfile


def lines(path):
    """Key and value of each line."""
    for line in Path(path).read_text().splitlines():
        yield line.strip().split(None, 1)


def seconds(entry):
    """How long the audio of an entry is; of several in columns, the first."""
    if entry.endswith("|"):
        done = subprocess.run(["bash", "-c", entry[:-1]], capture_output=True, check=True)
        samples, rate = soundfile.read(io.BytesIO(done.stdout))
        return len(samples) / rate
    return soundfile.info(entry if Path(entry).exists() else entry.split()[0]).duration


def main():
    """Write wav.scp and utt2num_samples of one job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", "--segment")
    parser.add_argument("--fs")
    for option in ("--audio-format", "--multi-columns-input", "--multi-columns-output", "--ref-channels"):
        parser.add_argument(option)
    parser.add_argument("scp")
    parser.add_argument("outdir", type=Path)
    args = parser.parse_args()
    lengths = {utt: seconds(entry) for utt, entry in lines(args.scp)}
    if args.segments:
        cuts = {utt: value.split() for utt, value in lines(args.segments)}
        lengths = {utt: float(end) - float(start) for utt, (_, start, end) in cuts.items()}
    args.outdir.mkdir(parents=True, exist_ok=True)
    rate = int(float(args.fs.replace("k", "")) * (1000 if "k" in args.fs else 1))
    (args.outdir / "wav.scp").write_text(
        "".join(f"{utt} {args.outdir}/{utt}.{args.audio_format}\n" for utt in lengths)
    )
    (args.outdir / "utt2num_samples").write_text(
        "".join(f"{utt} {round(length * rate)}\n" for utt, length in lengths.items())
    )


if __name__ == "__main__":
    main()
