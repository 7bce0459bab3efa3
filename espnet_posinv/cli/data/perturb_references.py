"""Make tempo-changed copies of a data directory's clean references (pitch kept), for ssl_softdtw.

Train with --train_data_path_and_name_and_type DATA/perturbed_ref1.scp,perturbed_ref1,sound, the same for the
validation data, and perturbed_ref: true in the criterion's conf.
"""

from espnet_posinv.cli.arguments import positive


def options(parser):
    parser.add_argument("data", help="data directory with spk1.scp")
    parser.add_argument("output", help="folder for the audio")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.9, 1.0, 1.1], help="tempo factors")
    parser.add_argument("--method", default="sox", help="sox (WSOLA) or world (vocoder)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--nj", type=positive, default=1, help="processes")


def run(args):
    from espnet_posinv.perturb.references import perturb_references
    from espnet_posinv.perturb.tempo import Tempo

    tempo = Tempo(tuple(args.factors), args.method)
    factors = perturb_references(args.data, args.output, tempo, seed=args.seed, nj=args.nj)
    print(f"{args.data}/perturbed_ref1.scp: {len(factors)} references")
