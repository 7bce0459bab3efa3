"""Check what a stage wrote, and stamp it; what utils/stage.sh calls."""

from espnet_posinv.recipe.stage import end


def options(parser):
    """Declare the arguments."""
    parser.add_argument("--plan", required=True, help="this run's list of declared stages")
    parser.add_argument("--stamps", required=True, help="folder of the stamps")
    parser.add_argument("number", type=int)
    parser.add_argument("--started", type=float, required=True, help="seconds since the epoch")


def run(args) -> int:
    """Run the command."""
    return end(args.plan, args.stamps, args.number, args.started)
