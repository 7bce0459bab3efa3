"""Make a data directory with formatted audio of another: every signal a real 16-bit file of one rate.

wav.scp, spk1.scp, noise1.scp, ... may hold paths, pipes or archive offsets; segments are cut out. All
signals of an utterance must have the same length. Run again after an interruption, it goes on.
"""

import sys

from espnet_posinv.kaldi.cli import Parser, positive, run, unknown_files_option
from espnet_posinv.kaldi.datadir import DataDir


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = Parser("format_data_dir", __doc__)
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")
    parser.add_argument("--fs", default="none", help="sampling rate like 16k; none: as it is")
    parser.add_argument("--audio-format", default="wav", help="wav or flac")
    parser.add_argument("--nj", type=positive, help="processes (default: one per core)")
    unknown_files_option(parser)
    args = parser.parse_args(argv)
    return run(parser.prog, lambda: _format(args))


def _format(args) -> None:
    from espnet_posinv.kaldi.audio import parse_rate
    from espnet_posinv.kaldi.format_dir import format_data_dir

    data = DataDir(args.src_dir, unknown=args.unknown_files)
    results = format_data_dir(
        data, args.dest_dir, rate=parse_rate(args.fs), audio_format=args.audio_format, jobs=args.nj
    )
    for name, result in results.items():
        clipped = f", {result.clipped} samples beyond full scale limited" if result.clipped else ""
        made = f"{len(result.path)} utterances, {result.made} of them made now{clipped}"
        print(f"format_data_dir: {args.dest_dir}/{name}: {made}")


if __name__ == "__main__":
    sys.exit(main())
