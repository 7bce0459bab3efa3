"""Make an ESPnet model folder from the published NSNet2 weights."""


def options(parser):
    parser.add_argument("--onnx", required=True, help="nsnet2-20ms-baseline.onnx")
    parser.add_argument("--output-dir", required=True, help="folder for config.yaml and model.pth")


def run(args):
    from espnet_posinv.enh.nsnet2_import import import_nsnet2

    difference = import_nsnet2(args.onnx, args.output_dir)
    print(f"{args.output_dir}: NSNet2, gains within {difference:.1e} of onnxruntime")
