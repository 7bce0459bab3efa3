"""Note what a product is made from, and tell whether it has to be made.

The status is 0 where it is there and up to date, and 3 where it has to be made: what there is of an old one
is gone then. With --refuse what changed is told, and the status is 1.
"""

from pathlib import Path

from espnet_posinv.recipe.contents import Contents
from espnet_posinv.recipe.made_from import begin, paths_in


def options(parser):
    """Declare the arguments."""
    parser.add_argument("product", help="the file that appears last")
    parser.add_argument("--folder", action="store_true", help="the whole folder of it is the product")
    parser.add_argument("--keep", action="store_true", help="only the product goes, its folder stays")
    parser.add_argument("--reads", nargs="*", default=[], help="files, lists, folders")
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting; read, too, is what it names",
    )
    parser.add_argument("--config", help="YAML of settings")
    parser.add_argument("--refuse", default="", metavar="REMEDY", help="rather than to make it again")
    parser.add_argument("--redo", choices=["true", "false"], default="false", help="make it again anyway")
    parser.add_argument("--cache", help="keeps the hashes of files")


def run(args) -> int:
    """Run the command."""
    values: dict[str, object] = dict(pair.partition("=")[::2] for pair in args.value)
    if args.config:
        import yaml

        values |= yaml.safe_load(Path(args.config).read_text(encoding="utf-8"))
    reads = [*filter(None, args.reads), *paths_in(values)]
    how = {"folder": args.folder, "keep": args.keep, "refuse": args.refuse, "redo": args.redo == "true"}
    # Whoever makes it again runs the pipes and sees what changed; what is not made again has to be sure.
    contents = Contents(args.cache, run_pipes=bool(args.refuse))
    return begin(args.product, reads, values, contents, **how)
