"""Write RESULTS.md with plots, and report.html with audio, from a recipe's scores and experiments.

The page is one file with word errors, audio, spectrograms, curves and tables. It needs no network.
"""

import os
from pathlib import Path

from espnet_posinv.cli.arguments import keep_apart


def options(parser):
    parser.add_argument("--output", default="RESULTS.md", help="the report; plots go into images/ beside it")
    parser.add_argument("--html", help="the page (default: none)")
    parser.add_argument("--title", default="Results", help="heading of both")
    parser.add_argument(
        "--scores-dir", default="exp/scores", help="<recogniser or signal>/<system>/<set>.json"
    )
    parser.add_argument(
        "--data-dir", default="dump/raw", help="<set>/{wav.scp,spk1.scp,text,utt2noise,utt2snr}"
    )
    parser.add_argument(
        "--exp-dir",
        default="exp",
        help="experiment folders; also <system>/enhanced/<set>/spk1.scp, convergence, probe/*, ablation and "
        "tasks, if they exist",
    )
    parser.add_argument("--test-sets", required=True, help="names, separated by blanks, in order of columns")
    parser.add_argument("--clean-set", default="", help="the test set without noise")
    parser.add_argument(
        "--utterances", type=int, default=3, help="number with audio in the page, of each set with noise"
    )


def run(args):
    os.environ.setdefault("OMP_NUM_THREADS", "1")

    from espnet_posinv.recipe.made_from import drop_stale
    from espnet_posinv.recipe.stage import contents_of
    from espnet_posinv.report.experiment import Places, load
    from espnet_posinv.report.html import write_html_report
    from espnet_posinv.report.markdown import write_report

    scores, data, experiments = map(Path, (args.scores_dir, args.data_dir, args.exp_dir))
    made = [path for place in ("*/*", "lps/*/*") for path in scores.glob(f"{place}/[!.]*.json")]
    made += [*experiments.glob("tasks/*/*/[!.]*.json"), *experiments.glob("probe/*/section.json")]
    sets = args.test_sets.split()
    reads = {
        "--scores-dir": made,
        "--data-dir": [path for test_set in sets for path in (data / test_set).glob("*")],
        "--exp-dir": [
            path
            for pattern in ("*/config.yaml", "*/section.json", "*/*/section.json")
            for path in experiments.glob(pattern)
        ],
    }
    keep_apart({"--output": [args.output], "--html": [args.html]}, reads)
    drop_stale(sorted(made), contents_of(experiments / ".stages"))
    experiment = load(Places(scores, data, experiments, sets, args.clean_set))
    write_report(experiment, args.output, title=args.title)
    print(f"report: {args.output}")
    if args.html:
        write_html_report(experiment, args.html, title=args.title, utterances=args.utterances)
        print(f"report: {args.html}, {Path(args.html).stat().st_size / 1e6:.1f} MB")
