"""Check that a recipe can use its data directories; list all problems."""

import sys

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.check import report
from espnet_posinv.recipe.check_data import check_sets, encoder_limits, recogniser_limits
from espnet_posinv.sample_rate import SAMPLE_RATE


def options(parser):
    parser.add_argument("--train", nargs="*", default=[], help="directories of training and validation")
    parser.add_argument("--test", nargs="*", default=[], help="directories of tests")
    parser.add_argument("--fs", type=positive, default=SAMPLE_RATE, help="rate of the formatted audio, Hz")
    parser.add_argument("--upstream", action="append", default=[], metavar="TAG=LOADER:MODEL")
    parser.add_argument("--recogniser", action="append", default=[], metavar="NAME=BACKEND:MODEL")
    parser.add_argument("--nj", type=positive, help="processes")


def run(args) -> int:
    found = check_sets(
        args.train,
        args.test,
        fs=args.fs,
        train_limits=list(encoder_limits(args.upstream)),
        test_limits=list(recogniser_limits(args.recogniser, args.fs)),
        jobs=args.nj,
    )
    if count := report(found, sys.stderr):
        raise ValueError(f"{count} problems in the data; nothing was trained")
    print(f"{len(args.train) + len(args.test)} sets are sound")
    return 0
