"""Print a line for each epoch of a running ESPnet training, with the time left."""

import os

from espnet_posinv.recipe.progress import follow


def options(parser):
    parser.add_argument("--log", required=True, help="the training's log")
    parser.add_argument("--label", required=True, help="name of the experiment")
    parser.add_argument("--max-epoch", type=int, required=True, help="number of epochs")
    parser.add_argument(
        "--pid", type=int, required=True, help="process of the training; this command ends with it"
    )


def run(args) -> None:
    def alive() -> bool:
        try:
            os.kill(args.pid, 0)
        except ProcessLookupError:
            return False
        return True

    for line in follow(args.log, args.label, args.max_epoch, alive):
        print(line, flush=True)
