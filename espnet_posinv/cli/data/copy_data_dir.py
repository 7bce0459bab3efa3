"""Copy a data directory, optionally giving other ids to utterances and speakers."""

from espnet_posinv.cli.arguments import unknown_files_option
from espnet_posinv.kaldi.datadir import DataDir, write_data_dirs
from espnet_posinv.kaldi.rename import affix, renamed


def options(parser):
    """Declare the arguments."""
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")
    for option in ("--utt-prefix", "--utt-suffix", "--spk-prefix", "--spk-suffix"):
        parser.add_argument(option, default="", help=f"{option[6:]} put to {option[2:5]} ids")
    parser.add_argument("--validate-opts", default="", help="accepted for compatibility")
    unknown_files_option(parser)


def run(args):
    """Run the command."""
    data = DataDir(args.src_dir, unknown=args.unknown_files)
    tables = renamed(
        data,
        utt=affix(args.utt_prefix, args.utt_suffix),
        spk=affix(args.spk_prefix, args.spk_suffix),
    )
    verbatim = [data.path / name for name in data.verbatim]
    write_data_dirs([args.dest_dir], ((name, [table]) for name, table in tables), verbatim=verbatim)
    print(f"copy_data_dir.sh: copied {args.src_dir} to {args.dest_dir}")
