"""Invert utt2spk: one line per speaker with its utterances, in order of appearance."""

import sys

from espnet_posinv.kaldi.cli import Parser, fields_of, run
from espnet_posinv.kaldi.datadir import spk2utt


def main(argv: list[str] | None = None) -> int:
    """Command line of utt2spk_to_spk2utt.pl."""
    parser = Parser("utt2spk_to_spk2utt.pl", __doc__)
    parser.add_argument("utt2spk", nargs="?", help="file (default: standard input)")
    args = parser.parse_args(argv)

    def command() -> None:
        utt2spk = dict(fields_of(args.utt2spk, exactly=2, unique=True))
        sys.stdout.writelines(f"{spk} {utts}\n" for spk, utts in spk2utt(utt2spk).items())

    return run(parser.prog, command)


if __name__ == "__main__":
    sys.exit(main())
