"""Make entries of several channels of wav.scp files with one channel each, by sox pipes."""

import shlex
import sys

from espnet_posinv.kaldi.scp import DataError, read_scp


def options(parser):
    """Declare the arguments."""
    parser.add_argument("scp", nargs="+", help="one file per channel, in the order of the channels")


def run(args):
    """Run the command."""
    return _mix(args.scp)


def _mix(paths: list[str]) -> None:
    channels = [read_scp(path) for path in paths]
    for path, table in zip(paths, channels, strict=True):
        if different := sorted(table.keys() ^ channels[0].keys()):
            raise DataError(f"{path}: has not the entries of {paths[0]}: {', '.join(different[:5])}")
    for key in channels[0]:
        files = " ".join(shlex.quote(table[key]) for table in channels)
        sys.stdout.write(f"{key} sox -M {files} -c {len(channels)} -t wav - |\n")
