"""ESPnet's enhancement tasks with our criterions, separators and models.

The classes register what they need when they are used, not when they are imported, so that they also
work in the processes that ESPnet spawns for several GPUs: these import this module to find the task.
"""

from espnet2.enh.espnet_model import ESPnetEnhancementModel
from espnet2.tasks.enh import EnhancementTask
from espnet2.tasks.enh_s2t import EnhS2TTask, name2task

from espnet_posinv.enh.model import PosinvEnhancementModel, PosinvEnhS2TModel
from espnet_posinv.enh.noise_mixing import NAME as NOISE_MIXING
from espnet_posinv.enh.noise_mixing import NoiseMixing
from espnet_posinv.enh.rates import CheckedRates
from espnet_posinv.enh.register import register
from espnet_posinv.enh.trainer import Preemptible, PreemptibleTrainer


class _Posinv(Preemptible, CheckedRates):
    """What both tasks add to ESPnet's: ``perturbed_ref1`` as additional data, our names, our trainer."""

    trainer = PreemptibleTrainer

    @classmethod
    def add_task_arguments(cls, parser):
        register()
        super().add_task_arguments(parser)

    @classmethod
    def optional_data_names(cls, train=True, inference=False):
        return (*super().optional_data_names(train, inference), "perturbed_ref1")


class PosinvEnhancementTask(_Posinv, EnhancementTask):
    """Enhancement."""

    @classmethod
    def build_preprocess_fn(cls, args, train):
        if getattr(args, "preprocessor", None) == NOISE_MIXING:  # ESPnet knows its own by name only
            return NoiseMixing(train, **args.preprocessor_conf)
        return super().build_preprocess_fn(args, train)

    @classmethod
    def build_model(cls, args):
        register()
        model = super().build_model(args)
        if type(model) is ESPnetEnhancementModel:  # not the diffusion model, which has no criterions
            model.__class__ = PosinvEnhancementModel  # same attributes; ESPnet names its class in the code
        return model


class PosinvEnhS2TTask(_Posinv, EnhS2TTask):
    """Joint enhancement and recognition."""

    @classmethod
    def build_model(cls, args):
        register()
        name2task["enh"] = PosinvEnhancementTask
        model = super().build_model(args)
        model.__class__ = PosinvEnhS2TModel
        return model
