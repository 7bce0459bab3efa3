"""Make one data directory of several."""

from espnet_posinv.cli.arguments import boolean, unknown_files_option
from espnet_posinv.kaldi.combine import combined
from espnet_posinv.kaldi.datadir import DataDir, write_data_dirs


def options(parser):
    """Declare the arguments."""
    parser.add_argument("dest_dir")
    parser.add_argument("src_dir", nargs="+")
    parser.add_argument("--extra-files", default="", help="further files keyed by utterance, blank-separated")
    parser.add_argument("--skip-fix", type=boolean, default=True, help="accepted for compatibility")
    unknown_files_option(parser)


def run(args):
    """Run the command."""
    extra = args.extra_files.split()
    sources = [DataDir(src, unknown=args.unknown_files, by_utterance=extra) for src in args.src_dir]
    write_data_dirs([args.dest_dir], ((name, [table]) for name, table in combined(sources)))
    print(f"combine_data.sh: {sum(len(s.utt2spk) for s in sources)} utterances in {args.dest_dir}")
