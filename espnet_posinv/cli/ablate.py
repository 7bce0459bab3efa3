"""Run an ablation grid through a recipe, from the recipe's folder, and collect its table."""

import shlex
import sys
from functools import partial


def options(parser):
    parser.add_argument("grid", help="YAML file, e.g. conf/ablation.yaml")
    parser.add_argument("--grids", nargs="+", metavar="NAME", help="only these of the file's grids")
    parser.add_argument("--cmd", default="", help="launcher of trainings, e.g. 'utils/slurm.pl --mem 8G'")
    parser.add_argument("--dry-run", action="store_true", help="list the experiments and their calls only")
    parser.add_argument("--collect", action="store_true", help="only write the table of what is scored")
    parser.add_argument("--train", type=int, metavar="N", help="only train the N-th experiment (for --cmd)")


def run(args):
    from espnet_posinv.ablation.grid import read_ablation
    from espnet_posinv.ablation.run import run_ablation, train_one
    from espnet_posinv.ablation.table import collect

    say = partial(print, flush=True)
    if args.train is not None:
        return train_one(args.grid, args.train, say, args.grids)
    if args.dry_run:
        ablation = read_ablation(args.grid, args.grids)
        for number, e in enumerate(ablation.experiments, 1):
            say(f"{number:3d}  {e.tag}{'  (done)' if ablation.marked(e, 'done') else ''}")
            say(f"     {shlex.join(ablation.training(e))}")
        return 0
    if args.collect:
        ablation, failed = read_ablation(args.grid, args.grids), []
    else:
        ablation, failed = run_ablation(args.grid, args.cmd, say, args.grids)
    say(f"ablate: {collect(ablation)}")
    for tag in failed:
        print(
            f"ablate: {tag} failed; its call is printed above, run this again when it works", file=sys.stderr
        )
    return 1 if failed else 0
