"""Check a recipe's settings, models, recognisers, metrics and GPUs before it starts; list all problems."""

import shlex
import sys

from espnet_posinv.recipe.choices import (
    Trial,
    count_gpus,
    try_metrics,
    try_recogniser,
    try_recogniser_to_come,
)


def options(parser):
    parser.add_argument("--upstream", action="append", default=[], metavar="TAG=LOADER:MODEL")
    parser.add_argument("--recogniser", action="append", default=[], metavar="NAME=BACKEND:MODEL")
    parser.add_argument("--language", default="en")
    parser.add_argument("--metrics", default="", help="names, comma-separated")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs that a training on this machine needs")
    parser.add_argument(
        "--later",
        default="",
        help="folder that stage 1 downloads models to; missing models in it are not checked",
    )
    parser.add_argument(
        "--training", action="append", default=[], metavar="WORDS", help="settings and files of a training"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="setting of the one training that FILES configure",
    )
    parser.add_argument("files", nargs="*", help="its configuration; later files override earlier ones")


def run(args) -> int:
    trial = Trial(args.later)
    if args.ngpu:
        trial.attempt(count_gpus, args.ngpu)
    trial.attempt(try_metrics, args.metrics)
    trial.names("upstreams", args.upstream)
    trial.names("recognisers", args.recogniser)
    for text in args.recogniser:
        attempt = try_recogniser_to_come if trial.is_to_come(text) else try_recogniser
        trial.attempt(attempt, text, args.language)
    if args.files:
        one = shlex.join([*(f"--set={setting}" for setting in args.set), *args.files])
        trial.trainings([one], args.upstream, check_settings=False)
    trial.trainings(args.training, args.upstream, check_settings=True)
    for problem in trial.problems:
        print(f"choices: {problem}", file=sys.stderr)
    return 1 if trial.problems else 0
