"""The experiment of doc/evidence.md: pack its data, train and score its cells on a GPU, write its page.

export makes model folders of a cell's checkpoints, as `models/` holds them.

speed times an update of each cell alone. train goes on where it was: what a cell has is kept. Cells may be
spread over machines by --cells.
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import Parser, above_zero, positive
from espnet_posinv.device import find_device
from espnet_posinv.enh.in_memory import Plan

ABLATION, DATA = Path("conf/ablation.yaml"), Path("../asr1/data")
CRITERIONS = "ssl_mse ssl_mse_pad ssl_mse_shift ssl_softdtw"  # of conf/criterion


def options(parser):
    """Declare the arguments."""
    parser.add_argument("what", choices=("pack", "unpack", "train", "speed", "score", "report", "export"))
    parser.add_argument("--archive", type=Path, help="of pack and unpack")
    parser.add_argument("--lists", nargs="*", default=[], metavar="NAME=SCP=KBITS", help="of pack")
    parser.add_argument("--data", type=Path, default=DATA, help="what unpack makes")
    parser.add_argument(
        "--output-dir", type=Path, help="default: exp_full/interaction, with --grids exp_full/ablation"
    )
    parser.add_argument("--model", type=Path, default=Path("exp_full/nsnet2"), help="what all begin with")
    parser.add_argument("--speech-scp", help="clean speech of the training")
    parser.add_argument("--noise-scp", help="lines KIND PATH")
    parser.add_argument("--upstreams", default="", help="TAG=SPEC of each encoder, between blanks")
    parser.add_argument("--criterions", default=CRITERIONS)
    parser.add_argument("--cells", default="", help="CRITERION@TAG[+TAG] to train; default: all")
    parser.add_argument(
        "--grids", nargs="+", default=[], help="of conf/ablation.yaml, to train or report instead"
    )
    parser.add_argument("--judges", default="", help="TAG=FOLDER[,UPSTREAM] of each head for phones")
    parser.add_argument("--sets", default="", help="NAME=FOLDER[/EVERY] of each test set, noisy")
    parser.add_argument("--clean", type=Path, default=DATA / "test_clean", help="the same, clean")
    parser.add_argument("--seeds", type=positive, default=5)
    parser.add_argument("--batch", type=positive, default=16, help="windows of an update and seed")
    parser.add_argument("--seconds", type=above_zero, default=4.0, help="length of a window")
    parser.add_argument("--rate", type=above_zero, default=3e-4, help="highest learning rate")
    parser.add_argument("--snr", type=float, nargs=2, default=Plan.snr, metavar=("LOW", "HIGH"), help="dB")
    parser.add_argument("--checkpoints", type=positive, nargs="+", default=[25, 50, 100, 200, 400, 800])
    parser.add_argument("--steps", nargs="*", type=int, help="of score and export: which checkpoints")
    parser.add_argument("--also", default="", help="folders of finished models to score as well")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--page", type=Path, help="of report: the folder of page and figure")


def table(text: str) -> dict[str, str]:
    """``A=x B=y`` as a dictionary."""
    if odd := [word for word in text.split() if "=" not in word]:
        raise ValueError(f"{' '.join(odd)}: write TAG=VALUE")
    return dict(word.split("=", 1) for word in text.split())


def run(args) -> None:
    """Do what the first argument says."""
    say = partial(print, flush=True)
    find_device(args.device)
    if args.what == "pack":
        from interaction.pack import pack

        rows = [row.split("=") for row in args.lists]
        size = pack([(name, Path(scp), int(kbits)) for name, scp, kbits in rows], args.archive)
        say(f"{args.archive}: {size / 1e6:.1f} MB")
    elif args.what == "unpack":
        from interaction.pack import unpack

        unpack(args.archive, args.data)
    elif args.what in ("train", "speed"):
        _train(args, say)
    elif args.what == "score":
        _score(args, say)
    elif args.what == "export":
        from interaction.train import export

        if not args.cells:
            raise ValueError("nothing to export: name cells (--cells)")
        for cell in args.cells.split():
            for step in args.steps or [max(args.checkpoints)]:
                say("\n".join(map(str, export(args.output_dir / cell / f"step{step}.pt"))))
    else:
        page = args.page or args.output_dir
        if args.grids:
            from interaction import ablation

            ablation.report(args.output_dir, ABLATION, args.grids, page)
        else:
            from interaction.report import report

            report(args.output_dir, page)


def _train(args, say) -> None:
    import torch

    from espnet_posinv.enh.model_folder import ssl_criterion
    from espnet_posinv.kaldi.audio import read_mono
    from espnet_posinv.kaldi.scp import read_scp
    from espnet_posinv.perturb.random_noise import read_noises
    from interaction.ablation import Grids
    from interaction.speed import measure
    from interaction.train import train

    upstreams = table(args.upstreams)
    points = Grids(ABLATION, args.grids).cells(list(upstreams)) if args.grids else {}
    every = list(points) or [f"{c}@{tag}" for tag in upstreams for c in args.criterions.split()]
    cells = args.cells.split() or every
    if points and (wrong := [cell for cell in cells if cell not in points]):
        raise ValueError(f"--cells {' '.join(wrong)}: with these grids there are {' '.join(points)}")
    if not cells:
        raise ValueError("nothing to train: name encoders (--upstreams)")
    if unknown := [cell for cell in cells if not upstreams.keys() >= set(cell.partition("@")[2].split("+"))]:
        raise ValueError(f"--cells {' '.join(unknown)}: encoders are {', '.join(upstreams)} (--upstreams)")
    if not (args.speech_scp and args.noise_scp):
        raise ValueError("name speech and noise (--speech-scp, --noise-scp)")
    if args.snr[0] > args.snr[1]:
        raise ValueError(f"--snr {args.snr[0]:g} {args.snr[1]:g}: the lowest comes first")
    speech = [torch.from_numpy(read_mono(path)).float() for path in read_scp(args.speech_scp).values()]
    noises = {kind: torch.from_numpy(x) for kind, x in read_noises(args.noise_scp).items()}
    steps = max(args.checkpoints)
    warmup = min(Plan.warmup, max(1, steps // 5))
    plan = Plan(steps, args.batch, args.seconds, args.rate, warmup=warmup, snr=tuple(args.snr))
    losses = {}
    for cell in cells:
        name, _, tags = cell.partition("@")
        criterion = points.get(cell) or ssl_criterion(f"conf/criterion/{name}.yaml")
        losses[args.output_dir / cell] = criterion, [upstreams[tag] for tag in tags.split("+")]
    given = losses, args.model, speech, noises, plan, args.seeds
    if args.what == "speed":
        measure(*given, args.device, args.output_dir, say)
    else:
        train(*given, args.checkpoints, args.device, say)


def _score(args, say) -> None:
    import torch

    from espnet_posinv.files import replacing, write_json
    from interaction.score import Judge, TestSet, score
    from interaction.train import PREFIX, load_model

    torch.set_float32_matmul_precision("high")
    judges = {}
    for tag, value in table(args.judges).items():
        folder, _, upstream = value.partition(",")
        judges[tag] = Judge(folder, upstream, args.device)
    sets = {}
    for name, value in table(args.sets).items():
        folder, _, every = value.partition("/every")
        sets[name] = TestSet(Path(folder), args.clean, judges, args.device, int(every or 1))
    say(f"{len(judges)} heads, {', '.join(f'{name}: {len(s.names)}' for name, s in sets.items())}")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for folder in [str(args.model), *args.also.split()]:
        path = args.output_dir / Path(folder).name / "step0.pt"
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            state = load_model(Path(folder)).state_dict()
            with replacing(path) as temporary:  # several processes may score side by side
                torch.save([{PREFIX + k: v for k, v in state.items()}], temporary)
    for name, found in sets.items():
        write_json(args.output_dir / f"{name}.facts.json", found.facts())
        noisy = args.output_dir / f"{name}.noisy.json"
        if not noisy.is_file():
            write_json(noisy, found.errors(lambda x, n: x, judges))
    model = load_model(args.model).to(args.device).eval()
    wanted = set(args.steps) if args.steps else None
    cells = set(args.cells.split())
    for path in sorted(args.output_dir.glob("*/step*.pt")):
        if (wanted and int(path.stem[4:]) not in wanted) or (cells and path.parent.name not in cells):
            continue
        score(path, sets, judges, model, args.device)
        say(f"scored {path.parent.name}/{path.stem}")


def main(argv: Sequence[str] | None = None) -> None:
    """Run; bad input ends with a message."""
    parser = Parser("interaction", __doc__)
    options(parser)
    args = parser.parse_args(argv)
    if args.what in ("pack", "unpack") and not args.archive:
        parser.error(f"{args.what} needs --archive FILE")
    args.output_dir = args.output_dir or Path("exp_full", "ablation" if args.grids else "interaction")
    try:
        run(args)
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"interaction {args.what}: {error}")


if __name__ == "__main__":
    main()
