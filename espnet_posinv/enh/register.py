"""Make our criterions, separators and preprocessor known to ESPnet; let its tools run our tasks."""

from types import ModuleType

from espnet2.tasks import enh, enh_s2t

from espnet_posinv.criterions import CLASSES, criterion_class
from espnet_posinv.enh.chunks import repair_chunk_iterator
from espnet_posinv.enh.demucs import DemucsSeparator
from espnet_posinv.enh.noise_mixing import NAME as NOISE_MIXING
from espnet_posinv.enh.noise_mixing import NoiseMixing
from espnet_posinv.enh.nsnet2 import NSNet2Separator

CRITERIONS = {name: criterion_class(name) for name in CLASSES}
SEPARATORS = {"demucs": DemucsSeparator, "nsnet2": NSNet2Separator}


def register() -> None:
    """Add our classes to ESPnet's choices (enh, enh_tse and the joint enh_s2t share the criterions)."""
    repair_chunk_iterator()
    enh.criterion_choices.classes.update(CRITERIONS)
    enh.separator_choices.classes.update(SEPARATORS)
    enh.preprocessor_choices.classes[NOISE_MIXING] = NoiseMixing
    enh_s2t.enh_separator_choices.classes.update(SEPARATORS)


def install(tool: ModuleType) -> None:
    """Register, and replace ESPnet's enhancement tasks in ``tool``, an ``espnet2.bin`` module, by ours."""
    from espnet_posinv.enh.task import PosinvEnhancementTask, PosinvEnhS2TTask

    register()
    for name, task in (("EnhancementTask", PosinvEnhancementTask), ("EnhS2TTask", PosinvEnhS2TTask)):
        if hasattr(tool, name):
            setattr(tool, name, task)
