"""Write utt2num_samples, utt2dur and reco2dur of a data directory from its audio."""

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.schema import LENGTHS


def options(parser):
    parser.add_argument("data_dir")
    parser.add_argument("--only", choices=LENGTHS, help="write this file only")
    parser.add_argument("--nj", type=positive, help="processes (default: one per core)")


def run(args):
    from espnet_posinv.kaldi.lengths import write_lengths

    write_lengths(args.data_dir, (args.only,) if args.only else LENGTHS, jobs=args.nj)
