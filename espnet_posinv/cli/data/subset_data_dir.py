"""Make a data directory of some utterances of another; by default <num-utt> spread evenly over it."""

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi import subset
from espnet_posinv.kaldi.datadir import DataDir, write_data_dirs
from espnet_posinv.kaldi.scp import DataError
from espnet_posinv.kaldi.split import distribute

CHOICES = {
    "first": (subset.first, "the first <num-utt> utterances"),
    "last": (subset.last, "the last <num-utt> utterances"),
    "shortest": (subset.shortest, "the <num-utt> shortest utterances"),
    "per-spk": (subset.per_speaker, "<num-utt> utterances of each speaker, fewer if it has fewer"),
    "speakers": (subset.speakers, "random whole speakers until there are <num-utt> utterances"),
}


def options(parser):
    parser.add_argument("src_dir")
    parser.add_argument("num_utt", nargs="?", type=positive, help="not given with --utt-list or --spk-list")
    parser.add_argument("dest_dir")
    how = parser.add_mutually_exclusive_group()
    for name, (choose, text) in CHOICES.items():
        how.add_argument(f"--{name}", dest="choose", action="store_const", const=choose, help=text)
    how.add_argument("--utt-list", help="file with the utterances to keep in its first column")
    how.add_argument("--spk-list", help="file with the speakers to keep in its first column")


def run(args):
    if (args.num_utt is None) != bool(args.utt_list or args.spk_list):
        args.error("give <num-utt>, or --utt-list or --spk-list without it")
    data = DataDir(args.src_dir)
    if args.utt_list:
        utts = subset.of_utterances(data, subset.read_ids(args.utt_list))
    elif args.spk_list:
        utts = subset.of_speakers(data, subset.read_ids(args.spk_list))
    else:
        utts = (args.choose or subset.spread)(data, args.num_utt)
    if not utts:
        raise DataError(f"{args.utt_list or args.spk_list}: names nothing that {args.src_dir} has")
    parts = distribute(data, dict.fromkeys(utts, 0), 1)
    write_data_dirs([args.dest_dir], parts, verbatim=data.verbatim)
    print(f"subset_data_dir.sh: {len(utts)} of {len(data.utt2spk)} utterances in {args.dest_dir}")
