"""Print the lines whose key is in a list; only the first column of the list counts."""

import sys

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.scp import BYTE_ORDER_MARK, DataError

MARK = BYTE_ORDER_MARK.encode()


def options(parser):
    parser.add_argument("--exclude", action="store_true", help="print the lines whose key is not in the list")
    parser.add_argument("-f", dest="field", type=positive, default=1, help="column of the key, from 1")
    parser.add_argument("id_list")
    parser.add_argument("in_scp", nargs="?", default="-", help="file to filter ('-': standard input)")


def run(args) -> None:
    with open(args.id_list, "rb") as file:
        ids = {fields[0] for line in file if (fields := line.removeprefix(MARK).split(None, 1))}
    stdin = args.in_scp == "-"
    name = "standard input" if stdin else args.in_scp
    with open(0 if stdin else args.in_scp, "rb", closefd=not stdin) as file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(MARK)
            fields = line.split(None, args.field)
            if len(fields) < args.field:
                raise DataError(
                    f"{name}:{number}: no column {args.field} in {line.decode(errors='replace')!r}"
                )
            if (fields[args.field - 1] in ids) != args.exclude:
                sys.stdout.buffer.write(line)
