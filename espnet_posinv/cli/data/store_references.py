"""Encode the clean references of data directories once, instead of in every training step.

CONFIG is the training's: its SSL criterion names encoder, layers and speeds.  To use the stored features, set
`references: OUTPUT` in that criterion's conf.  Whole utterances are stored, so neither the chunk iterator nor
ssl_mse_pad can be used.
"""


def options(parser):
    parser.add_argument("config", help="YAML with one SSL criterion")
    parser.add_argument("data", nargs="+", help="data directories with spk1.scp: training and validation")
    parser.add_argument("--output", required=True, help="new folder for the features")
    parser.add_argument("--device", default="cpu", help="where the encoder runs")


def run(args):
    from espnet_posinv.criterions.stored import store_references
    from espnet_posinv.device import find_device
    from espnet_posinv.enh.model_folder import build_criterion

    device = find_device(args.device)
    _, criterion = build_criterion(args.config, references=args.output)
    speeds = criterion.speed.factors if hasattr(criterion, "speed") else [1.0]
    encoder = criterion.encoder(device)
    count = store_references(encoder, criterion.facts, args.data, speeds, args.output)
    print(f"{args.output}: {count} references")
