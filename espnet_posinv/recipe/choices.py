"""SSL models, recognisers and GPUs of a recipe, tried before anything is trained.

    python -m espnet_posinv.recipe.choices --upstream hubert=transformers:FOLDER \
        --recogniser small=whisper:FOLDER conf/finetune.yaml conf/criterion/ssl_mse.yaml

A training needs its SSL model after minutes in a queue, and a recogniser's turn comes after all trainings: a
wrong name should not cost a night. What has to come from a hub is fetched here, where there may be a network,
and not by a job on a node without one.
"""

import argparse
import sys
from pathlib import Path

from espnet_posinv.recipe.config import ConfigError, merged

EXAMPLES = {
    "upstreams": "hubert=transformers:facebook/hubert-base-ls960",
    "recognisers": "whisper-base=whisper:downloads/whisper-base",
}


def split(text: str, option: str) -> tuple[str, str, str]:
    """The parts of ``NAME=LOADER:MODEL``."""
    name, _, what = text.partition("=")
    loader, _, model = what.partition(":")
    if not (name and loader and model):
        raise ConfigError(f"--{option} {text}: write it like {EXAMPLES[option]}")
    return name, loader, model


def try_upstream(text: str, options: dict) -> str:
    """Load an SSL model as a criterion with these options will; returns what it is.

    Raises:
        ConfigError: no such loader, model or layer.
    """
    from espnet_posinv.ssl import load_encoder

    name, loader, model = split(text, "upstreams")
    chosen = {"layers": options.get("layers", -1), "weights": options.get("layer_weights")}
    try:
        encoder = load_encoder(f"{loader}:{model}", **chosen)
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(f"--upstreams {text}: {error}") from None
    return f"{name}: {encoder.label}, compared at {', '.join(map(str, encoder.layers))}"


def try_recogniser(text: str, language: str) -> None:
    """Find a recogniser's back end and model, without loading it.

    Raises:
        ConfigError: no such back end, model or setting.
    """
    from espnet_posinv.asr.backend import build

    _, backend, model = split(text, "recognisers")
    try:
        build(backend, model, language=language)
    except (ValueError, OSError) as error:
        raise ConfigError(f"--recognisers {text}: {error}") from None
    path = model.split(",")[0]  # or a name on a hub
    if path.startswith("/") and not Path(path).exists():
        raise ConfigError(f"--recognisers {text}: {path} does not exist")


def count_gpus(wanted: int) -> None:
    """Raise ConfigError if this machine has fewer GPUs."""
    import torch

    if wanted > (found := torch.cuda.device_count()):
        raise ConfigError(f"--ngpu {wanted}: this machine has {found} GPUs (--ngpu 0 trains on the CPU)")


def main(argv: list[str] | None = None) -> int:
    """Command line; called by enh.sh and by sweeps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", action="append", default=[], metavar="TAG=LOADER:MODEL")
    parser.add_argument("--recogniser", action="append", default=[], metavar="NAME=BACKEND:MODEL")
    parser.add_argument("--language", default="en")
    parser.add_argument("--ngpu", type=int, default=0, help="GPUs that a training on this machine needs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the fine-tuning")
    parser.add_argument("files", nargs="*", help="configuration of the fine-tuning; later files win")
    args = parser.parse_args(argv)
    try:
        if args.ngpu:
            count_gpus(args.ngpu)
        for text in args.recogniser:
            try_recogniser(text, args.language)
        config = merged(args.files, args.set)
        for text in args.upstream:
            print(try_upstream(text, config["criterions"][0]["conf"]), flush=True)
    except ConfigError as error:
        print(f"choices: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
