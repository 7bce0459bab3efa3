"""What the measurements and the table of recipe_scale.py share: the recipe's models, files of figures."""

import json
import platform
import tempfile
from pathlib import Path

import yaml

from espnet_posinv.files import atomic_write
from espnet_posinv.recipe.config import merged

ROOT = Path(__file__).parents[1]
CONF = ROOT / "egs2/librispeech_demand/enh1/conf"
MODELS = ("demucs48", "demucs64", "convtasnet", "bsrnn", "tfgridnet")
CRITERIONS = ("ssl_mse", "ssl_mse_pad", "ssl_softdtw")
HEADS = {"characters_blstm": 29, "phones_linear": 72}  # recognisers of stage 7: units, the blank included
RATE = 16000
SECONDS = 12.8  # mean length of an utterance of train-clean-100


def configuration(model: str, criterion: str | None = None) -> dict:
    """What stage 4 trains `model` with, or stage 5 fine-tunes it with."""
    files = [CONF / "common.yaml", CONF / f"train_{model}.yaml"]
    if criterion:
        files += [CONF / f"finetune_{model.rstrip('0123456789')}.yaml", CONF / f"criterion/{criterion}.yaml"]
    return merged(files, [])


def build(config: dict):
    """The ESPnet model of a configuration."""
    from espnet_posinv.enh.task import PosinvEnhancementTask

    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        args = PosinvEnhancementTask.get_parser().parse_args(["--config", file.name])
    return PosinvEnhancementTask.build_model(args)


def cpu_name() -> str:
    """Model of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine()
    )


def write(output: Path, result: dict) -> None:
    """Figures so far, as JSON."""
    with atomic_write(output) as file:
        file.write(json.dumps(result, indent=1) + "\n")
