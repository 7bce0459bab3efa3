"""Write utt2num_samples, utt2dur and reco2dur of a data directory from its audio."""

import sys

from espnet_posinv.kaldi.cli import Parser, positive, run
from espnet_posinv.kaldi.schema import LENGTHS


def main(argv: list[str] | None = None) -> int:
    """Command line of get_utt2dur.sh, get_reco2dur.sh and get_utt2num_samples.sh."""
    parser = Parser("audio_lengths", __doc__)
    parser.add_argument("data_dir")
    parser.add_argument("--only", choices=LENGTHS, help="write this file only")
    parser.add_argument("--nj", type=positive, help="processes (default: one per core)")
    args = parser.parse_args(argv)

    def command() -> None:
        from espnet_posinv.kaldi.lengths import write_lengths

        write_lengths(args.data_dir, (args.only,) if args.only else LENGTHS, jobs=args.nj)

    return run(parser.prog, command)


if __name__ == "__main__":
    sys.exit(main())
