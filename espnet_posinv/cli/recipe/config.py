"""Merge configuration files, and single keys set from outside, into the configuration of a training."""

from espnet_posinv.recipe.config import merged, write


def options(parser):
    """Declare the arguments."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. optim_conf.lr=0.0001"
    )
    parser.add_argument("--output", required=True, help="the merged file")
    parser.add_argument("files", nargs="+", help="base first; later files win")


def run(args) -> None:
    """Run the command."""
    write(merged(args.files, args.set), args.output)
