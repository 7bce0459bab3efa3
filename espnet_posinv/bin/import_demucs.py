"""Make an ESPnet model folder from your own checkpoint of the PyPI package denoiser."""

import argparse
import sys


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", required=True, help="a state dict (.th), or best.th of a training")
    parser.add_argument("--output-dir", required=True, help="folder for config.yaml and model.pth")
    parser.add_argument("--hidden", type=int, help="size it must have; without it, any")
    args = parser.parse_args(argv)

    from espnet_posinv.enh.demucs_import import import_demucs

    try:
        hidden = import_demucs(args.checkpoint, args.output_dir, hidden=args.hidden)
    except (ValueError, OSError) as error:
        sys.exit(f"import_demucs: {error}")
    print(f"{args.output_dir}: Demucs; fine-tune it with separator_conf hidden: {hidden}")


if __name__ == "__main__":
    main()
