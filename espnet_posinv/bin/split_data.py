"""Split a data directory into <data-dir>/split<N>/1 ... N, speakers kept together.

Does nothing if all parts are there and newer than the files of the data directory.
"""

import sys

from espnet_posinv.kaldi.cli import Parser, positive, run
from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.split import split_data_dir


def main(argv: list[str] | None = None) -> int:
    """Command line of split_data.sh."""
    parser = Parser("split_data.sh", __doc__)
    parser.add_argument("data_dir")
    parser.add_argument("parts", type=positive)
    parser.add_argument("--per-utt", action="store_true", help="cut anywhere; the folder is split<N>utt")
    args = parser.parse_args(argv)

    def command() -> None:
        data = DataDir(args.data_dir)
        split_data_dir(data, args.parts, per_utt=args.per_utt)

    return run(parser.prog, command)


if __name__ == "__main__":
    sys.exit(main())
