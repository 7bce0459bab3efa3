"""The main function of utils/run.pl, slurm.pl and queue.pl."""

import sys

from .request import USAGE, UsageError, parse


def main(which, argv):
    """Run the launcher ``which`` (run, slurm or queue); returns the exit status."""
    prog = f"{which}.pl"
    if argv in (["--help"], ["-h"]) or not argv:
        print(USAGE.format(prog=prog, conf=f"{which}.conf"), file=sys.stderr if not argv else sys.stdout)
        return 0 if argv else 255
    # Imported when chosen, so that the launcher starts fast.
    from .engine import launch

    try:
        if which == "run":
            from .local import Local as Backend
        elif which == "slurm":
            from .slurm import Slurm as Backend
        else:
            from .gridengine import GridEngine as Backend
        return launch(parse(argv), Backend, prog)
    except (UsageError, OSError) as error:  # for instance, a log that cannot be written
        print(f"{prog}: {error}", file=sys.stderr)
        return 255
