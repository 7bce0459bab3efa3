"""Make an ESPnet model folder from your own checkpoint of the PyPI package denoiser."""


def options(parser):
    parser.add_argument("--checkpoint", required=True, help="a state dict (.th), or best.th of a training")
    parser.add_argument("--output-dir", required=True, help="folder for config.yaml and model.pth")
    parser.add_argument("--hidden", type=int, help="expected size (default: any)")


def run(args):
    from espnet_posinv.enh.demucs_import import import_demucs

    hidden = import_demucs(args.checkpoint, args.output_dir, hidden=args.hidden)
    print(f"{args.output_dir}: Demucs; fine-tune it with separator_conf hidden: {hidden}")
