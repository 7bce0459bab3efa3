"""ESPnet's recognisers (espnet2.bin.asr_inference) from a folder, or from the hub by name."""

import functools
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet_posinv.files import file_hash, read_yaml, working_in
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl.marks import marks

MODEL_FILES = tuple(f"valid.{name}.pth" for name in ("acc.ave", "acc.best", "loss.ave", "loss.best"))


@dataclass(frozen=True)
class ESPnet:
    """Settings of an ESPnet recogniser; :meth:`transcribe` loads the model at its first call in a process.

    Args:
        model: the folder of a training (``config.yaml`` beside the model), an unpacked model of ESPnet's zoo
            (``meta.yaml``), or the name of a model on the hub, which needs the package espnet_model_zoo.
        model_file: file in `model` to load; default: the first of `MODEL_FILES` that exists.
        lm: folder of a trained language model (``config.yaml`` and its model), if any.
        beam_size, ctc_weight, lm_weight, penalty, maxlenratio: as in ESPnet's asr_inference.
        device: "cpu" or "cuda".
    """

    model: str
    model_file: str = ""
    lm: str = ""
    beam_size: int = 10
    ctc_weight: float = 0.3
    lm_weight: float = 1.0
    penalty: float = 0.0
    maxlenratio: float = 0.0
    device: str = "cpu"

    def settings(self) -> dict:
        """All that determines the output; local models by hash, not by path."""
        out = {"backend": "espnet", **asdict(self), "model": Path(self.model).name, "lm": Path(self.lm).name}
        del out["device"], out["model_file"]
        if not Path(self.model).exists():
            return {**out, "model": self.model}
        for key, folder, name in (("model", self.model, self.model_file), ("lm", self.lm, "")):
            if folder:
                out[f"{key}_sha256"] = file_hash(find(folder, name)["asr_model_file"])
        out["weights"] = marks(find(self.model, self.model_file)["asr_model_file"])
        return out

    def transcribe(self, wav) -> str:
        """Text of the best hypothesis of one utterance (T,), float32 in [-1, 1], 16 kHz."""
        text, tokens, *_ = _load(self, os.getpid())(wav)[0]
        return " ".join((" ".join(tokens) if text is None else text).split())


@functools.cache
def _load(settings: ESPnet, process: int):
    """The model, loaded once in each process."""
    import torch
    from espnet2.bin.asr_inference import Speech2Text

    if settings.device == "cpu":
        torch.set_num_threads(1)  # one process a core
    options = {
        key: getattr(settings, key)
        for key in ("beam_size", "ctc_weight", "lm_weight", "penalty", "maxlenratio", "device")
    }
    if not Path(settings.model).exists():
        try:
            model = Speech2Text.from_pretrained(settings.model, **options)
        except ImportError:
            raise ValueError(
                f"{settings.model} is no folder here; for a model of the hub, pip install espnet_model_zoo"
            ) from None
        except Exception as error:  # the zoo's and the hub's clients have dozens of kinds
            raise ValueError(
                f"{settings.model} is no folder here, and the hub does not give it "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'})"
            ) from error
    else:
        files = find(settings.model, settings.model_file)
        if settings.lm:
            language = find(settings.lm, "")
            files |= {
                "lm_train_config": language["asr_train_config"],
                "lm_file": language["asr_model_file"],
            }
        config = read_yaml(files["asr_train_config"])
        with working_in(_root(Path(files["asr_train_config"]), config)):
            model = Speech2Text(**files, **options)
        _check_weights(model, files["asr_model_file"])
    rate = str((model.asr_train_args.frontend_conf or {}).get("fs", SAMPLE_RATE)).replace("k", "000")
    if rate != str(SAMPLE_RATE):
        raise ValueError(
            f"{settings.model} was trained at {rate} Hz, but the audio here has {SAMPLE_RATE} Hz"
        )
    return model


def _check_weights(model, file: str) -> None:
    """Raise ValueError if weights of the model are missing in the file: ESPnet would leave them random."""
    import torch

    if getattr(model.asr_train_args, "use_adapter", False):
        return  # its file holds the adapter only
    weights = torch.load(file, map_location="cpu")
    missing = model.asr_model.load_state_dict(weights, strict=False).missing_keys
    if missing:
        raise ValueError(
            f"{file}: no weights for {missing[0]} and {len(missing) - 1} others of the model that its "
            "config.yaml describes; use the version of ESPnet that it was trained with, or a newer one"
        )


def find(folder: str | Path, model_file: str) -> dict[str, str]:
    """Arguments of Speech2Text that name files, as absolute paths.

    Raises:
        ValueError: the folder is neither a finished training nor an unpacked model of the zoo.
    """
    folder = Path(folder).resolve()
    meta = folder / "meta.yaml"
    if meta.exists():
        known = read_yaml(meta)
        named = {**known.get("yaml_files", {}), **known.get("files", {})}
        return {key: str(folder / value) for key, value in named.items()}
    names = [model_file] if model_file else MODEL_FILES
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found or not (folder / "config.yaml").is_file():
        raise ValueError(
            f"{folder}: no ESPnet model: neither meta.yaml, nor config.yaml and {' or '.join(names)} in it; "
            "name another file with model_file="
        )
    return {"asr_train_config": str(folder / "config.yaml"), "asr_model_file": str(found[0])}


def _root(config_file: Path, config: dict) -> Path:
    """The base folder of the configuration's relative paths: the nearest that contains them all."""
    paths = [config.get("bpemodel"), (config.get("normalize_conf") or {}).get("stats_file")]
    paths = [path for path in paths if path and not os.path.isabs(path)]
    for folder in config_file.parents:
        if all((folder / path).exists() for path in paths):
            return folder
    raise ValueError(f"{config_file}: names {' and '.join(paths)}, which no folder above it has")


RECOGNISER = ESPnet
