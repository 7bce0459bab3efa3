"""Check whether a file is up to date with its inputs, and note these inputs beside it.

Exit status 0: it exists and is up to date. 3: it must be made; an old one has been deleted. 1, with --refuse:
it is out of date; the changes are printed and nothing is deleted.
"""

from espnet_posinv.files import read_yaml
from espnet_posinv.recipe.contents import Contents
from espnet_posinv.recipe.made_from import begin, paths_in


def options(parser):
    parser.add_argument("product", help="the file that is written last")
    parser.add_argument("--folder", action="store_true", help="the file's whole folder is the product")
    parser.add_argument("--keep", action="store_true", help="delete only the file, not its folder")
    parser.add_argument("--reads", nargs="*", default=[], help="input files, lists and folders")
    parser.add_argument(
        "--value",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting; files that it names are inputs, too",
    )
    parser.add_argument("--config", help="YAML file of settings")
    parser.add_argument("--refuse", default="", metavar="REMEDY", help="advice instead of making it again")
    parser.add_argument("--redo", choices=["true", "false"], default="false", help="always make it again")
    parser.add_argument("--cache", help="file that keeps hashes between runs")


def run(args) -> int:
    values: dict[str, object] = dict(pair.partition("=")[::2] for pair in args.value)
    if args.config:
        values |= read_yaml(args.config)
    reads = [*filter(None, args.reads), *paths_in(values)]
    how = {"folder": args.folder, "keep": args.keep, "refuse": args.refuse, "redo": args.redo == "true"}
    # With --refuse the inputs must be known for certain, so pipes are run; else making it again runs them.
    contents = Contents(args.cache, run_pipes=bool(args.refuse))
    return begin(args.product, reads, values, contents, **how)
