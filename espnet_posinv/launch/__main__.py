"""python3 -m espnet_posinv.launch run|slurm|queue ARGS: what utils/run.pl, slurm.pl and queue.pl call.

python3 -m espnet_posinv.launch nj [--mem 2G] [--num-threads N]: how many such tasks this machine should run
at a time.
"""

import sys

from .request import USAGE, UsageError, parse


def main(argv=None):
    """Entry point; returns the exit status."""
    which, *argv = sys.argv[1:] if argv is None else argv
    if which == "nj":
        return _print_jobs(argv)
    prog = f"{which}.pl"
    if which not in ("run", "slurm", "queue"):
        print(f"unknown launcher {which!r}: must be run, slurm, queue or nj", file=sys.stderr)
        return 255
    if argv in (["--help"], ["-h"]) or not argv:
        print(USAGE.format(prog=prog, conf=f"{which}.conf"), file=sys.stderr if not argv else sys.stdout)
        return 0 if argv else 255
    # Imported when chosen: a launcher should start in no time.
    from .engine import launch

    try:
        if which == "run":
            from .local import Local as Backend
        elif which == "slurm":
            from .slurm import Slurm as Backend
        else:
            from .gridengine import GridEngine as Backend
        return launch(parse(argv), Backend, prog)
    except (UsageError, OSError) as error:  # a log that cannot be written, for one
        print(f"{prog}: {error}", file=sys.stderr)
        return 255


def _print_jobs(argv):
    from .resources import parse_memory, sensible_jobs

    try:
        request = parse([*argv, "log", "command"])
        print(sensible_jobs(parse_memory(request.options.get("mem", "0")), request.threads))
    except UsageError as error:
        print(f"nj: {error}", file=sys.stderr)
        return 255
    return 0


if __name__ == "__main__":
    sys.exit(main())
