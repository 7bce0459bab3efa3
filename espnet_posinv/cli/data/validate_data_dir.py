"""Report all problems of a data directory; the exit status is 1 if there are any."""

import os
import sys

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.check import Needs, check_data_dir, report


def options(parser):
    parser.add_argument("data_dir")
    parser.add_argument("--no-feats", action="store_true", help="feats.scp need not exist")
    parser.add_argument("--no-text", action="store_true", help="text need not exist")
    parser.add_argument("--no-wav", action="store_true", help="wav.scp need not exist")
    parser.add_argument("--no-spk-sort", action="store_true", help="speakers need not sort like utterances")
    parser.add_argument(
        "--non-print", action="store_true", help="accepted for compatibility: any UTF-8 is fine"
    )
    parser.add_argument(
        "--utt-extra-files", default="", help="further lists that must have every utterance, blank-separated"
    )
    parser.add_argument(
        "--check-audio",
        action="store_true",
        help="open the audio, to find files that are missing, truncated or not finite",
    )
    parser.add_argument("--fs", default=None, help="sampling rate the audio must have, like 16k")
    parser.add_argument(
        "--channels", type=positive, default=None, help="number of channels the audio must have"
    )
    parser.add_argument(
        "--nj", type=positive, default=None, help="processes for --check-audio (default: one per core)"
    )


def run(args):
    needs = Needs(
        feats=not args.no_feats,
        text=not args.no_text,
        wav=not args.no_wav,
        spk_sort=not args.no_spk_sort,
        extra_utt_files=frozenset(args.utt_extra_files.split()),
    )
    count = report(check_data_dir(args.data_dir, needs), sys.stderr)
    if args.check_audio and os.path.isdir(args.data_dir):
        from espnet_posinv.kaldi.audio import parse_rate
        from espnet_posinv.kaldi.check_audio import check_audio

        rate = parse_rate(args.fs) if args.fs else None
        audio = check_audio(args.data_dir, rate=rate, channels=args.channels, jobs=args.nj)
        count += report(audio, sys.stderr)
    if count:
        print(f"validate_data_dir.sh: {count} problems in {args.data_dir}", file=sys.stderr)
        return 1
    print(f"validate_data_dir.sh: {args.data_dir} is sound")
    return 0
