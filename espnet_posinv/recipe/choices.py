"""Checks of a recipe's settings, models, recognisers, metrics and GPUs before the first stage.

    posinv recipe choices --upstream hubert=transformers:FOLDER \
        --recogniser small=whisper:FOLDER conf/finetune.yaml conf/criterion/ssl_mse.yaml

Models and recognisers are used hours after the start, so wrong names are found here, and all problems are
listed at once. Models of a hub are downloaded here too, since jobs may run on nodes without a network.
"""

import argparse
import shlex
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
    if "/" in name:
        raise ConfigError(f"--{option} {text}: {name} becomes a folder's name; give it one without /")
    return name, loader, model


def try_upstream(text: str, options: dict) -> str:
    """Load an SSL model as a criterion with these options does; returns a description.

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
        ConfigError: no such back end, model or setting, or the model does not support the language.
    """
    from espnet_posinv.asr.backend import build

    _, backend, model = split(text, "recognisers")
    try:
        build(backend, model, language=language)
    except (ValueError, OSError) as error:
        raise ConfigError(f"--recognisers {text}: {error}") from None
    path = Path(model.split(",")[0])  # or a name on a hub
    if path.is_absolute() and not path.exists():
        raise ConfigError(f"--recognisers {text}: {path} does not exist")
    if backend.startswith("whisper") and (path / "tokenizer.json").is_file():
        tokens = (path / "tokenizer.json").read_text(encoding="utf-8")
        _need_language(f'"<|{language}|>"' in tokens, language, path.name, text)


def try_recogniser_to_come(text: str, language: str) -> None:
    """What can be told of a recogniser before stage 1 fetches it.

    Raises:
        ConfigError: no such back end, or a language that Whisper does not know.
    """
    from espnet_posinv.asr.backend import BACKENDS, find_class

    _, backend, model = split(text, "recognisers")
    try:
        find_class(backend, "espnet_posinv.asr", BACKENDS, "RECOGNISER")
    except ValueError as error:
        raise ConfigError(f"--recognisers {text}: {error}") from None
    if backend.startswith("whisper"):
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        _need_language(language in LANGUAGES, language, Path(model.split(",")[0]).name, text)


def _need_language(known: bool, language: str, model: str, text: str) -> None:
    if not known or (model.endswith(".en") and language != "en"):
        raise ConfigError(f"--lang {language}: {model} does not know it (--recognisers {text})")


def try_metrics(names: str) -> None:
    """Raise ConfigError for an unknown metric."""
    from espnet_posinv.scoring.signal import METRICS

    wrong = [name for name in names.replace(",", " ").split() if name not in (*METRICS, "none")]
    if wrong:
        raise ConfigError(f"--metrics {', '.join(wrong)}: there are {', '.join(METRICS)}, none")


def count_gpus(wanted: int) -> None:
    """Raise ConfigError if this machine has fewer GPUs."""
    import torch

    if wanted > (found := torch.cuda.device_count()):
        raise ConfigError(f"--ngpu {wanted}: this machine has {found} GPUs (--ngpu 0 trains on the CPU)")


def training_settings(words: str) -> dict:
    """The configuration of a training from the words that enh.sh gives to recipe.config.

    Raises:
        ConfigError: the words are no settings and files, or do not make a configuration.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("files", nargs="+")
    try:
        args = parser.parse_args(shlex.split(words))
    except SystemExit:
        raise ConfigError(f"{words}: not of the form --set KEY=VALUE FILE ...") from None
    return merged(args.files, args.set)


class Trial:
    """Runs checks and collects the problems that they find.

    Args:
        later: folder that stage 1 downloads models to; missing models in it are not checked.
    """

    def __init__(self, later: str = ""):
        self.later = later
        self.problems: dict[str, None] = {}

    def attempt(self, function, *values):
        """The function's result, or None if it found a problem."""
        try:
            return function(*values)
        except ConfigError as error:
            self.problems[str(error)] = None
            return None

    def is_to_come(self, text: str) -> bool:
        """Whether stage 1 will download the model of ``NAME=LOADER:MODEL``."""
        model = Path(text.partition(":")[2].split(",")[0])
        return bool(self.later) and model.is_relative_to(self.later) and not model.exists()

    def names(self, option: str, texts: list[str]) -> None:
        """Check that names differ, since they become folders."""
        names = [text.partition("=")[0] for text in texts]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems[f"--{option}: two are called {name}; each needs a name of its own"] = None

    def trainings(self, trainings: list[str], upstreams: list[str], check_settings: bool) -> None:
        """Check configurations, and the SSL models with the layers of each configuration."""
        tried, told = set(), set()
        for words in trainings:
            config = self.attempt(training_settings, words)
            if config is None:
                continue
            if check_settings:
                from espnet_posinv.recipe.check_config import config_problems

                for what in config_problems(config):
                    if what not in told:
                        told.add(what)
                        self.problems[f"{what} (in {words})"] = None
            for text in upstreams:
                options = config["criterions"][0]["conf"]
                use = (text, repr(options.get("layers")), repr(options.get("layer_weights")))
                if use not in tried and not self.is_to_come(text):
                    tried.add(use)
                    if label := self.attempt(try_upstream, text, options):
                        print(label, flush=True)
