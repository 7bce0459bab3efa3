"""Make an ESPnet model folder from the published NSNet2 weights."""

import argparse
import sys


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--onnx", required=True, help="nsnet2-20ms-baseline.onnx")
    parser.add_argument("--output-dir", required=True, help="folder for config.yaml and model.pth")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="accepted difference to onnxruntime")
    args = parser.parse_args(argv)

    from espnet_posinv.enh.nsnet2_import import import_nsnet2

    try:
        difference = import_nsnet2(args.onnx, args.output_dir, tolerance=args.tolerance)
    except (ValueError, OSError) as error:
        sys.exit(f"import_nsnet2: {error}")
    print(f"{args.output_dir}: NSNet2, gains within {difference:.1e} of onnxruntime")


if __name__ == "__main__":
    main()
