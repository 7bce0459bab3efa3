"""Encode the clean references of data directories once, so that training steps need not.

CONFIG is the training's: its SSL criterion says encoder, layers and speeds.  Train with `references: OUTPUT`
in that criterion's conf.  Whole utterances are stored: not for the chunk iterator, nor for ssl_mse_pad.
"""


def options(parser):
    """Declare the arguments."""
    parser.add_argument("config", help="YAML with one SSL criterion")
    parser.add_argument("data", nargs="+", help="data directories with spk1.scp: training and validation")
    parser.add_argument("--output", required=True, help="new folder for the features")
    parser.add_argument("--device", default="cpu", help="where the encoder runs")


def run(args):
    """Run the command."""
    from pathlib import Path

    import torch
    import yaml

    from espnet_posinv.criterions.stored import store_references
    from espnet_posinv.enh.kept import as_trained
    from espnet_posinv.enh.register import CRITERIONS

    config = as_trained(yaml.safe_load(Path(args.config).read_text(encoding="utf-8")))
    listed = config.get("criterions") or config.get("enh_criterions") or []
    found = [c for c in listed if c["name"] in CRITERIONS]
    if len(found) != 1:
        raise ValueError(f"{args.config}: one SSL criterion is needed, there are {len(found)}")
    criterion = CRITERIONS[found[0]["name"]](**{**(found[0].get("conf") or {}), "references": args.output})
    speeds = criterion.speed.factors if hasattr(criterion, "speed") else [1.0]
    encoder = criterion.encoder(torch.device(args.device))
    count = store_references(encoder, criterion.facts, args.data, speeds, args.output)
    print(f"{args.output}: {count} references")
