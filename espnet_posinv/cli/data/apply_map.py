"""Replace words of standard input; the lines of the map are 'word replacement...'."""

import argparse
import re
import sys

from espnet_posinv.kaldi.lines import fields_of
from espnet_posinv.kaldi.scp import DataError


def options(parser):
    parser.add_argument("-f", dest="columns", type=_columns, default="1-", help="columns, like 1, 2-, 2-4")
    parser.add_argument("--permissive", action="store_true", help="keep words that are not in the map")
    parser.add_argument("map")


def _columns(text: str) -> slice:
    """Columns counted from 1, the last included, as a slice."""
    match = re.fullmatch(r"(\d*)([-:]?)(\d*)", text)
    if not match or not (match[1] or match[3]):
        raise argparse.ArgumentTypeError(f"expected a range of columns from 1, got {text!r}")
    first, dash, last = match.groups()
    return slice(max(int(first or 1) - 1, 0), (int(last) if last else None) if dash else int(first))


def run(args) -> None:
    table = {word: " ".join(replacement) for word, *replacement in fields_of(args.map)}
    for number, words in enumerate(fields_of("-", blank=True), 1):
        for word in words[args.columns]:
            if word not in table and not args.permissive:
                raise DataError(
                    f"standard input:{number}: {word!r} is not in {args.map}; add it, or give --permissive"
                )
        words[args.columns] = [table.get(word, word) for word in words[args.columns]]
        sys.stdout.write(" ".join(words) + "\n")
