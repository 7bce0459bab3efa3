"""Invert spk2utt: one line per utterance with its speaker."""

import sys

from espnet_posinv.kaldi.cli import Parser, fields_of, run


def main(argv: list[str] | None = None) -> int:
    """Command line of spk2utt_to_utt2spk.pl."""
    parser = Parser("spk2utt_to_utt2spk.pl", __doc__)
    parser.add_argument("spk2utt", nargs="?", help="file (default: standard input)")
    args = parser.parse_args(argv)

    def command() -> None:
        for spk, *utts in fields_of(args.spk2utt):
            sys.stdout.writelines(f"{utt} {spk}\n" for utt in utts)

    return run(parser.prog, command)


if __name__ == "__main__":
    sys.exit(main())
