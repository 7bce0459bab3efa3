"""Find the batch of a training configuration that fits into a GPU's memory; needs no GPU.

    python -m espnet_posinv plan-batch --config exp/ssl_softdtw_hubert_seed1/train.yaml --gpu-memory 24

espnet_posinv/enh/memory.py explains the estimate.
"""

from espnet_posinv.cli.arguments import above_zero, positive


def options(parser):
    parser.add_argument("--config", required=True, help="of a training: exp/MODEL/train.yaml or config.yaml")
    parser.add_argument("--gpu-memory", type=above_zero, required=True, help="GiB")
    parser.add_argument("--seconds", type=above_zero, nargs="+", default=[2, 4, 8, 16], help="of utterances")
    parser.add_argument(
        "--measure",
        type=above_zero,
        nargs="+",
        default=[2, 4, 8],
        help="seconds of the steps, three or more different lengths",
    )
    parser.add_argument("--check", type=positive, metavar="B", help="also measure a batch of B and compare")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: where to measure")


def run(args):
    if len(set(args.measure)) < 3:
        args.error(f"--measure {args.measure}: the fit needs three or more different lengths")

    from espnet_posinv.enh.memory import MIB, TrainingStep, describe, measure

    step = TrainingStep(args.config, args.device)
    found = measure(step, args.measure)
    print(describe(args.config, args.device, found, args.gpu_memory * 2**30, args.seconds))
    if args.check:
        middle = sorted(args.measure)[len(args.measure) // 2]
        real = found.static + step.step_bytes(args.check, middle)
        guess = found.predict(args.check, middle)
        sizes = f"{real / MIB:.1f} MiB measured, {guess / MIB:.1f} predicted"
        print(f"check: {args.check} x {middle:g} s: {sizes}")
