"""Make a copy of a data directory whose audio is played faster or slower by a factor.

Features and counts of samples or frames no longer apply and are left out.
"""

import os

from espnet_posinv.kaldi.datadir import DataDir, write_data_dir
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.kaldi.speed import speed_perturbed


def options(parser):
    parser.add_argument("factor", type=float, help="above 1: faster")
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")


def run(args) -> None:
    if os.path.realpath(args.src_dir) == os.path.realpath(args.dest_dir):
        raise DataError(f"{args.dest_dir}: would overwrite its source; give another directory")
    data = DataDir(args.src_dir)
    write_data_dir(args.dest_dir, speed_perturbed(data, args.factor), verbatim=data.verbatim)
    print(f"perturb_data_dir_speed.sh: {len(data.utt2spk)} utterances in {args.dest_dir}")
