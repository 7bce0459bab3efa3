"""Invert spk2utt: one line per utterance with its speaker."""

import sys

from espnet_posinv.kaldi.lines import fields_of


def options(parser):
    parser.add_argument("spk2utt", nargs="?", help="file (default: standard input)")


def run(args):
    for spk, *utts in fields_of(args.spk2utt):
        sys.stdout.writelines(f"{utt} {spk}\n" for utt in utts)
