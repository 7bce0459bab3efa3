"""Format the audio of a data directory: every signal becomes a 16-bit file of one rate in a new directory.

wav.scp, spk1.scp, noise1.scp, ... may hold paths, pipes or archive offsets; segments are cut out. All
signals of an utterance must have the same length. After an interruption, run it again to resume.
"""

from espnet_posinv.cli.arguments import positive
from espnet_posinv.kaldi.datadir import DataDir


def options(parser):
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")
    parser.add_argument("--fs", default="none", help="sampling rate like 16k; none: unchanged")
    parser.add_argument("--audio-format", default="wav", help="wav or flac")
    parser.add_argument("--nj", type=positive, help="processes or jobs (default: one per core, 8 jobs)")
    parser.add_argument("--cmd", default="", help="run as jobs of this launcher, like utils/slurm.pl")


def run(args) -> None:
    from espnet_posinv.kaldi.audio import parse_rate
    from espnet_posinv.kaldi.format_dir import format_data_dir

    data = DataDir(args.src_dir)
    results = format_data_dir(
        data,
        args.dest_dir,
        rate=parse_rate(args.fs),
        audio_format=args.audio_format,
        jobs=args.nj,
        command=args.cmd,
    )
    for name, result in results.items():
        clipped = f", {result.clipped} samples beyond full scale limited" if result.clipped else ""
        made = f"{result.made} of them made now{clipped}"
        made = f"logs in {args.dest_dir}/logs" if args.cmd else made
        print(f"posinv data format-data-dir: {args.dest_dir}/{name}: {len(result.path)} utterances, {made}")
