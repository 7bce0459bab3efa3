"""Merge configuration files and single keys into the configuration of a training."""

from espnet_posinv.recipe.config import merged, write


def options(parser):
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. optim_conf.lr=0.0001"
    )
    parser.add_argument("--output", required=True, help="the merged file")
    parser.add_argument("files", nargs="+", help="base first; later files override earlier ones")


def run(args) -> None:
    config = merged(args.files, args.set)
    if noise := (config.get("preprocessor_conf") or {}).get("noise_scp"):
        from espnet_posinv.perturb.random_noise import noise_files

        try:
            noise_files(noise)
        except ValueError as error:
            where = f"{' '.join(args.files)}: preprocessor_conf.noise_scp"
            raise ValueError(
                f"{where}: {error}; name yours: --set preprocessor_conf.noise_scp=PATH"
            ) from None
    write(config, args.output)
