"""Make one data directory of several."""

from espnet_posinv.cli.arguments import boolean
from espnet_posinv.kaldi.combine import combined, common
from espnet_posinv.kaldi.datadir import DataDir, write_data_dir


def options(parser):
    parser.add_argument("dest_dir")
    parser.add_argument("src_dir", nargs="+")
    parser.add_argument("--extra-files", default="", help="lists to merge whatever they are keyed by")
    parser.add_argument("--skip-fix", type=boolean, default=True, help="accepted for compatibility")


def run(args):
    sources = [DataDir(src) for src in args.src_dir]
    tables = combined(sources, args.extra_files.split())
    others = common(sources, args.extra_files.split())
    write_data_dir(args.dest_dir, tables, verbatim=others)
    print(f"combine_data.sh: {sum(len(s.utt2spk) for s in sources)} utterances in {args.dest_dir}")
