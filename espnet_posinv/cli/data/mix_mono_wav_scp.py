"""Make entries of several channels of wav.scp files with one channel each, by sox pipes."""

import shlex
import sys

from espnet_posinv.kaldi.scp import DataError, read_scp


def options(parser):
    parser.add_argument("scp", nargs="+", help="one file per channel, in the order of the channels")


def run(args):
    channels = [read_scp(path) for path in args.scp]
    for path, table in zip(args.scp, channels, strict=True):
        if different := sorted(table.keys() ^ channels[0].keys()):
            raise DataError(f"{path}: has not the entries of {args.scp[0]}: {', '.join(different[:5])}")
    for key in channels[0]:
        files = " ".join(shlex.quote(table[key]) for table in channels)
        sys.stdout.write(f"{key} sox -M {files} -c {len(channels)} -t wav - |\n")
