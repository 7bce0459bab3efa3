#!/usr/bin/env python3
"""Stands in for ESPnet's pyscripts/audio/format_wav_scp.py in espnet_recipes.sh: its arguments and lists.

The original imports much for each of hundreds of jobs; what is compared there are the lists. The audio is
that of the source, whatever format, rate and segment are wanted.
"""

import argparse
import struct
import subprocess
from pathlib import Path


def lines(path):
    """Key and value of each line."""
    for line in Path(path).read_text().splitlines():
        yield line.strip().split(None, 1)


def read(entry):
    """The file that an entry means; of several in columns, the first."""
    if entry.endswith("|"):
        return subprocess.run(["bash", "-c", entry[:-1]], capture_output=True, check=True).stdout
    return Path(entry if Path(entry).exists() else entry.split()[0]).read_bytes()


def seconds(data):
    """Duration of a WAV file, from its size: a header that sox wrote into a pipe does not have it."""
    channels, rate, bits = struct.unpack_from("<HI6xH", data, 22)
    return (len(data) - data.index(b"data") - 8) * 8 / (channels * bits * rate)


def main():
    """Write wav.scp, utt2num_samples and the audio of one job."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", "--segment")
    for option in ("fs", "audio-format", "multi-columns-input", "multi-columns-output", "ref-channels"):
        parser.add_argument(f"--{option}")
    parser.add_argument("scp")
    parser.add_argument("outdir", type=Path)
    args = parser.parse_args()
    audio = {key: read(entry) for key, entry in lines(args.scp)}
    lengths = {key: seconds(data) for key, data in audio.items()}
    if args.segments:
        cuts = {utt: value.split() for utt, value in lines(args.segments)}
        lengths = {utt: float(end) - float(start) for utt, (_, start, end) in cuts.items()}
        audio = {utt: audio[reco] for utt, (reco, _, _) in cuts.items()}
    args.outdir.mkdir(parents=True, exist_ok=True)
    rate = int(float(args.fs.replace("k", "")) * (1000 if "k" in args.fs else 1))
    scp, samples = "", ""
    for utt, data in audio.items():
        path = args.outdir / f"{utt}.{args.audio_format}"
        path.write_bytes(data)
        scp += f"{utt} {path}\n"
        samples += f"{utt} {round(lengths[utt] * rate)}\n"
    (args.outdir / "wav.scp").write_text(scp)
    (args.outdir / "utt2num_samples").write_text(samples)


if __name__ == "__main__":
    main()
