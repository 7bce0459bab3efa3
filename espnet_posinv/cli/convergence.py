"""Measure every checkpoint of fine-tunings on a development set: curves, and updates and seconds to a gain.

The experiments must have kept all checkpoints (keep_nbest_models >= max_epoch). Folders whose names differ
only in _seed<n> are seeds of one system. To resume after an interruption, run the same command again.
"""

import os

from espnet_posinv.cli.arguments import positive


def options(parser):
    parser.add_argument("experiments", nargs="+", help="folders of fine-tunings, as exp/ssl_*_seed*")
    parser.add_argument("--data", required=True, help="development set: wav.scp, spk1.scp, text")
    parser.add_argument(
        "--recogniser", required=True, help="BACKEND:MODEL, as whisper:downloads/whisper-base"
    )
    parser.add_argument(
        "--output-dir", required=True, help="gets convergence.png, convergence.md and section.json"
    )
    parser.add_argument(
        "--upstream", help="encoder of the criterions' values; default: that of the trainings"
    )
    parser.add_argument("--language", default="en", help="of the transcripts")
    parser.add_argument("--signal", default="si_sdr,estoi", help="signal metrics, comma-separated")
    parser.add_argument(
        "--fraction", type=float, default=0.9, help="share of the gain that counts as converged"
    )
    parser.add_argument(
        "--device", default="cpu", help="for enhancement and criterions, e.g. cuda; shared by the processes"
    )
    parser.add_argument("--nj", type=positive, default=1, help="processes")


def run(args):
    backend, _, model = args.recogniser.partition(":")
    if not model:
        args.error(f"--recogniser {args.recogniser}: give BACKEND:MODEL, as whisper:FOLDER")
    if not 0 < args.fraction <= 1:
        args.error(f"--fraction {args.fraction}: must be above 0 and at most 1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: one process a core

    from espnet_posinv.asr.backend import build
    from espnet_posinv.convergence.measure import Measures, measure, upstream_of
    from espnet_posinv.convergence.report import write_convergence
    from espnet_posinv.criterions import PAPER
    from espnet_posinv.device import find_device
    from espnet_posinv.report.systems import read_systems
    from espnet_posinv.scoring.metrics import METRICS

    signal = tuple(args.signal.replace(",", " ").split())
    if unknown := [name for name in signal if name not in METRICS]:
        args.error(f"--signal {args.signal}: no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    find_device(args.device)
    systems = read_systems(args.experiments)
    upstream = args.upstream or upstream_of(systems.values())
    recogniser, _ = build(backend, model, language=args.language)
    criterions = tuple(dict.fromkeys([*PAPER, *(s.criterion for s in systems.values() if s.criterion)]))
    measures = Measures(recogniser, args.language, upstream, signal, criterions, args.device)
    measured = measure(args.experiments, args.data, measures, nj=args.nj)
    first = next(iter(systems.values()))
    unequal = sorted({key for system in systems.values() for key in system.differences(first)})
    setting = (
        f"Development set {args.data}: {len(next(iter(measured.values()))[0][1])} utterances. Recogniser: "
        f"{backend} {os.path.basename(model)}. Criterions are measured through {upstream} with their default "
        f"settings. Settings of the trainings that differ, besides criterion and seed: "
        f"{', '.join(unequal) or 'none'}."
    )
    title = f"Convergence: {os.path.basename(upstream.rstrip('/'))}"
    write_convergence(
        args.output_dir, measured, systems, fraction=args.fraction, setting=setting, title=title
    )
    print(f"convergence: {sum(map(len, measured.values()))} checkpoints, {args.output_dir}/convergence.md")
