"""Split a data directory into <data-dir>/split<N>/1 ... N, speakers kept together.

Does nothing if all parts exist and are newer than the files of the data directory.
"""

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.split import split_data_dir


def options(parser):
    parser.add_argument("data_dir")
    parser.add_argument("parts", type=positive)
    parser.add_argument("--per-utt", action="store_true", help="split anywhere; the folder is split<N>utt")


def run(args):
    split_data_dir(DataDir(args.data_dir), args.parts, per_utt=args.per_utt)
