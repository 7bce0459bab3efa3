"""Invert utt2spk: one line per speaker with its utterances, in order of appearance."""

import sys

from espnet_posinv.kaldi.datadir import spk2utt
from espnet_posinv.kaldi.lines import fields_of


def options(parser):
    parser.add_argument("utt2spk", nargs="?", help="file (default: standard input)")


def run(args):
    utt2spk = dict(fields_of(args.utt2spk, exactly=2, unique=True))
    sys.stdout.writelines(f"{spk} {utts}\n" for spk, utts in spk2utt(utt2spk).items())
