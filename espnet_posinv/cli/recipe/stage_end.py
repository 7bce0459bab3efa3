"""Check the outputs of a stage and write its stamp; called by utils/stage.sh."""

from espnet_posinv.recipe.stage import end


def options(parser):
    parser.add_argument("--plan", required=True, help="this run's list of declared stages")
    parser.add_argument("--stamps", required=True, help="folder of the stamps")
    parser.add_argument("number", type=int)
    parser.add_argument("--started", type=float, required=True, help="seconds since the epoch")


def run(args) -> int:
    return end(args.plan, args.stamps, args.number, args.started)
