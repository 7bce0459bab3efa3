"""Write a 16-bit audio file of one rate and format for each entry of a wav.scp.

Entries may be paths, pipes or archive offsets; with --segments the utterances are cut out. Writes
<out-dir>/<out-filename> and <out-dir>/utt2num_samples. After an interruption, run it again to resume.
"""

import sys
from pathlib import Path

from espnet_posinv.cli.arguments import boolean, positive
from espnet_posinv.kaldi.scp import DataError, read_scp, write_scp
from espnet_posinv.kaldi.subset import read_ids


def options(parser):
    parser.add_argument("in_scp")
    parser.add_argument("out_dir")
    parser.add_argument("log_dir", nargs="?", help="for jobs of --cmd (default: <out-dir>/logs)")
    parser.add_argument("audio_dir", nargs="?", help="audio files (default: <out-dir>/data/wav)")
    parser.add_argument("--out-filename", default="wav.scp")
    parser.add_argument("--fs", default="none", help="sampling rate like 16k; none: unchanged")
    parser.add_argument("--audio-format", default="wav", help="wav or flac")
    parser.add_argument("--segments", default="", help="file of lines 'utt reco start end' to cut out")
    parser.add_argument("--ref-channels", default="", help="channels to keep, like 0,2 (from 0)")
    parser.add_argument("--utt2ref-channels", default="", help="file with the channels of each utterance")
    parser.add_argument("--write-utt2num-samples", type=boolean, default=True)
    parser.add_argument("--nj", type=positive, help="processes or jobs (default: one per core, 8 jobs)")
    parser.add_argument("--cmd", default="", help="run as jobs of this launcher, like slurm.pl")
    parser.add_argument("--keys", help="file with the utterances to make (default: all)")


def run(args) -> None:
    from espnet_posinv.kaldi.audio import parse_rate
    from espnet_posinv.kaldi.format import format_wav_scp

    out, audio = Path(args.out_dir), args.audio_dir or f"{args.out_dir}/data/{Path(args.out_filename).stem}"
    keys = list(read_scp(args.segments or args.in_scp)) if args.keys is None else read_ids(args.keys)
    if args.cmd:
        from espnet_posinv.kaldi.format_jobs import format_by_jobs

        options = ["--fs", args.fs, "--audio-format", args.audio_format]
        for option in ("segments", "ref_channels", "utt2ref_channels"):
            if value := getattr(args, option):
                options += [f"--{option.replace('_', '-')}", value]
        log_dir = Path(args.log_dir or out / "logs")
        paths, samples = format_by_jobs(args.cmd, options, args.in_scp, keys, log_dir, audio, args.nj or 8)
    else:
        result = format_wav_scp(
            args.in_scp,
            audio,
            segments=args.segments or None,
            rate=parse_rate(args.fs),
            audio_format=args.audio_format,
            channels=_channels(args.ref_channels, args.utt2ref_channels),
            keys=keys,
            jobs=args.nj,
        )
        paths, samples = result.path, {utt: str(count) for utt, count in result.samples.items()}
        print(
            f"posinv data format-wav-scp: {len(paths)} utterances, {result.made} of them made now, in {out}"
        )
        if result.clipped:
            print(
                f"posinv data format-wav-scp: {result.clipped} samples beyond full scale were limited",
                file=sys.stderr,
            )
    if args.write_utt2num_samples:
        write_scp(out / "utt2num_samples", samples)
    write_scp(out / args.out_filename, paths)


def _channels(text: str, path: str) -> dict[str, list[int]] | list[int] | None:
    """Channels for all utterances, or of each."""
    if path:
        return {utt: _numbers(value, f"{path}: {utt!r}") for utt, value in read_scp(path).items()}
    return _numbers(text, "--ref-channels") if text else None


def _numbers(text: str, where: str) -> list[int]:
    fields = text.replace(",", " ").split()
    if not fields or not all(field.isdecimal() for field in fields):
        raise DataError(f"{where}: expected channel numbers from 0, got {text!r}")
    return [int(field) for field in fields]
