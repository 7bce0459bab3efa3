"""Sort the files of a data directory and drop incomplete utterances; a backup is kept."""

import sys

from espnet_posinv.kaldi.check import Needs, check_data_dir, report
from espnet_posinv.kaldi.fix import fix_data_dir


def options(parser):
    parser.add_argument("data_dir")
    parser.add_argument(
        "--utt-extra-files", default="", help="further lists that must have every utterance, blank-separated"
    )
    parser.add_argument(
        "--spk-extra-files", default="", help="accepted for compatibility: lists of speakers are found"
    )
    parser.add_argument("--no-spk-sort", action="store_true", help="speakers need not sort like utterances")


def run(args) -> int:
    extra = args.utt_extra_files.split()
    fix_data_dir(args.data_dir, extra_utt_files=extra)
    needs = Needs(text=False, wav=False, spk_sort=not args.no_spk_sort, extra_utt_files=frozenset(extra))
    count = report(check_data_dir(args.data_dir, needs), sys.stderr)
    if count:
        print(f"fix_data_dir.sh: {count} problems remain that need a decision", file=sys.stderr)
    return 1 if count else 0
