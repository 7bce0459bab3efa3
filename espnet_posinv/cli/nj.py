"""Print how many tasks of a given size this machine should run at the same time."""

from espnet_posinv.cli.arguments import positive
from espnet_posinv.launch.resources import parse_memory, sensible_jobs


def options(parser):
    parser.add_argument("--mem", default="0", help="memory of a task, like 2G")
    parser.add_argument("--num-threads", type=positive, default=1, help="processor cores of a task")


def run(args) -> None:
    print(sensible_jobs(parse_memory(args.mem), args.num_threads))
