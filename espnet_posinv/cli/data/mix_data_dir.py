"""Make a data directory of noisy speech from one of clean speech: fixed noise and SNR for each utterance.

Several jobs may share the work: call with --jobs N --job 1 ... N, then without --job to finish.
"""

from pathlib import Path

from espnet_posinv.cli.arguments import positive


def options(parser):
    parser.add_argument("src_dir")
    parser.add_argument("dest_dir")
    parser.add_argument(
        "--noise-scp", required=True, help="lines: kind path; or a folder, with a folder for each kind"
    )
    parser.add_argument("--snrs", nargs="+", type=float, default=[5.0, 10.0, 20.0], help="dB")
    parser.add_argument("--seed", type=int, default=0, help="of noises and SNRs")
    parser.add_argument("--jobs", type=positive, default=1, help="number of jobs that share the work")
    parser.add_argument("--job", type=positive, help="number of this job")


def run(args) -> None:
    from espnet_posinv.corpora.mix import mix_data_dir
    from espnet_posinv.kaldi.scp import read_scp

    mix_data_dir(
        args.src_dir,
        args.dest_dir,
        args.noise_scp,
        args.snrs,
        seed=args.seed,
        job=args.job,
        jobs=args.jobs,
    )
    if args.job is None:
        print(f"{args.dest_dir}: {len(read_scp(Path(args.dest_dir) / 'wav.scp'))} utterances")
