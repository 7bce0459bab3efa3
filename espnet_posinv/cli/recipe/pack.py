"""Pack a trained model: make a folder with only the files that inference needs."""

from pathlib import Path

from espnet_posinv.recipe.pack import pack


def options(parser):
    parser.add_argument("--folder", type=Path, help="an experiment: its config.yaml and best checkpoint")
    parser.add_argument("--config", type=Path, help="config.yaml of the experiment")
    parser.add_argument("--model", type=Path, help="its checkpoint")
    parser.add_argument("--output-dir", type=Path, required=True, help="the packed model's folder")


def run(args) -> None:
    if not (args.folder or (args.config and args.model)):
        args.error("give --folder, or --config and --model")
    config, model = args.config, args.model
    if args.folder:
        from espnet_posinv.enh.enhancer import checkpoint_of

        config, model = config or args.folder / "config.yaml", model or checkpoint_of(args.folder)
    pack(config, model, args.output_dir)
    print(f"{args.output_dir}: config.yaml, model.pth")
