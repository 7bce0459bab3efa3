"""Split the lines of a file into parts of about equal size, or print one part.

With --utt2spk, all utterances of a speaker stay in one part.
"""

import sys

from espnet_posinv.files import atomic_write
from espnet_posinv.kaldi.lines import lines_of
from espnet_posinv.kaldi.scp import DataError, fields, read_scp
from espnet_posinv.kaldi.split import even_bounds, parts_of


def options(parser):
    parser.add_argument(
        "-j", nargs=2, type=int, metavar=("PARTS", "PART"), help="only one part, counted from 0"
    )
    parser.add_argument("--one-based", action="store_true", help="count PART from 1")
    parser.add_argument("--utt2spk", help="keep speakers together")
    parser.add_argument("in_scp")
    parser.add_argument("out_scp", nargs="*", help="one file per part; with -j one ('-': standard output)")


def run(args):
    if args.j:
        parts, part = args.j[0], args.j[1] - args.one_based
        if not 0 <= part < parts:
            args.error(f"there is no part {args.j[1]} of {parts}")
        if len(args.out_scp) > 1:
            args.error("with -j there is one output")
        outputs = {part: (args.out_scp or ["-"])[0]}
    else:
        parts, outputs = len(args.out_scp), dict(enumerate(args.out_scp))
        if not outputs:
            args.error("no output file given")
    return _split(args.in_scp, parts, outputs, args.utt2spk)


def _split(in_scp: str, parts: int, outputs: dict[int, str], utt2spk: str | None) -> None:
    lines = lines_of(in_scp)
    if utt2spk:
        speaker, owner = read_scp(utt2spk), {}
        for number, line in enumerate(lines, 1):
            utt = (fields(line) or [""])[0]
            if utt not in speaker:
                raise DataError(f"{in_scp}:{number}: {utt!r} is not in {utt2spk}; run utils/fix_data_dir.sh")
            owner[number] = speaker[utt]
        chunks = [[] for _ in range(parts)]
        for number, k in parts_of(owner, parts).items():
            chunks[k].append(lines[number - 1])
    else:
        try:
            bounds = even_bounds(len(lines), parts)
        except DataError as error:
            raise DataError(f"{in_scp}: {error} (--nj)") from None
        chunks = [lines[bounds[k] : bounds[k + 1]] for k in range(parts)]
    for k, path in outputs.items():
        if path == "-":
            sys.stdout.writelines(chunks[k])
        else:
            with atomic_write(path) as file:
                file.writelines(chunks[k])
