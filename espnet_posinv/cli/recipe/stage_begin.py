"""Decide whether a stage must run; called by utils/stage.sh."""

from espnet_posinv.recipe.stage import Stage, begin


def options(parser):
    parser.add_argument("--plan", required=True, help="this run's list of declared stages")
    parser.add_argument("--stamps", required=True, help="folder of the stamps")
    parser.add_argument("number", type=int)
    parser.add_argument("title")
    parser.add_argument("--range", nargs=2, type=int, required=True, metavar=("FIRST", "LAST"))
    parser.add_argument("--mode", choices=["run", "list", "dry-run"], default="run")
    parser.add_argument("--redo", choices=["true", "false"], default="false")
    parser.add_argument("--key", default="", help="the options that determine the stage's result")
    parser.add_argument("--reads", nargs="*", default=[])
    parser.add_argument("--writes", nargs="*", default=[])


def run(args) -> int:
    stage = Stage(args.number, args.title, args.key, args.reads, args.writes)
    return begin(stage, args.plan, args.stamps, *args.range, args.mode, args.redo == "true")
