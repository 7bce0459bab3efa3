"""Register our criterions, separators and preprocessor with ESPnet, and our tasks with its tools."""

from types import ModuleType

from espnet_posinv import espnet_compat
from espnet_posinv.criterions import CLASSES, criterion_class
from espnet_posinv.criterions.base import SSLLoss
from espnet_posinv.enh.demucs import DemucsSeparator
from espnet_posinv.enh.noise_mixing import NAME as NOISE_MIXING
from espnet_posinv.enh.noise_mixing import NoiseMixing
from espnet_posinv.enh.nsnet2 import NSNet2Separator

CRITERIONS = {name: criterion_class(name) for name in CLASSES}
SEPARATORS = {separator.name: separator for separator in (DemucsSeparator, NSNet2Separator)}


def register() -> None:
    """Add our classes to ESPnet's choices, for all tasks with enhancement criterions."""
    espnet_compat.repair_chunk_iterator()
    espnet_compat.adopt_criterion(SSLLoss)
    espnet_compat.add_choices(CRITERIONS, SEPARATORS, {NOISE_MIXING: NoiseMixing})


def install(tool: ModuleType) -> None:
    """Register, and replace ESPnet's tasks in ``tool``, a module of ``espnet2.bin``, by ours."""
    from espnet_posinv.enh.task import TASKS

    register()
    espnet_compat.replace_tasks(tool, TASKS)
