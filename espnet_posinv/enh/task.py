"""ESPnet's tasks with enhancement criterions, extended by our criterions and trainer.

The classes register with ESPnet when they are used, not when they are imported, so that they also work in the
processes that ESPnet spawns for several GPUs.
"""

import multiprocessing

from espnet2.tasks.enh import EnhancementTask
from espnet2.tasks.enh_s2t import EnhS2TTask
from espnet2.tasks.enh_tse import TargetSpeakerExtractionTask

from espnet_posinv import espnet_compat
from espnet_posinv.enh import model_folder
from espnet_posinv.enh.model import MODELS
from espnet_posinv.enh.noise_mixing import NAME as NOISE_MIXING
from espnet_posinv.enh.noise_mixing import NoiseMixing
from espnet_posinv.enh.rates import KnownRates
from espnet_posinv.enh.register import CRITERIONS, register
from espnet_posinv.enh.trainer import Preemptible, PreemptibleTrainer


class PosinvTask(Preemptible, KnownRates):
    """Mix-in for ESPnet's tasks: our names; lengths, ids and rates for the criterions; our trainer."""

    trainer = PreemptibleTrainer
    criterions_key = "criterions"

    @classmethod
    def main_worker(cls, args):
        spawned = multiprocessing.get_start_method() == "spawn"
        if spawned and "fork" in multiprocessing.get_all_start_methods():
            # A spawned process spawns what it starts, here the readers of every epoch, and each would import
            # everything again.
            multiprocessing.set_start_method("fork", force=True)
        super().main_worker(args)

    @classmethod
    def add_task_arguments(cls, parser):
        register()
        super().add_task_arguments(parser)

    @classmethod
    def optional_data_names(cls, train=True, inference=False):
        return (*super().optional_data_names(train, inference), "perturbed_ref1")

    @classmethod
    def build_model(cls, args):
        register()
        espnet_compat.use_for_joint_models(PosinvEnhancementTask)
        model = super().build_model(args)
        if type(model) in MODELS:
            espnet_compat.become(model, MODELS[type(model)])
        model_folder.move(args, {*CRITERIONS, NOISE_MIXING})
        return model

    @classmethod
    def build_preprocess_fn(cls, args, train):
        settings = model_folder.as_trained(vars(args))
        if settings.get("preprocessor") == NOISE_MIXING:  # ESPnet finds its own preprocessors only
            return NoiseMixing(train, **settings["preprocessor_conf"])
        preprocess = super().build_preprocess_fn(args, train)
        return None if preprocess is None else espnet_compat.ScalarRate(preprocess)

    @classmethod
    def criterions_of(cls, args) -> list[dict]:
        """The training's criterions, as configured."""
        return model_folder.as_trained(vars(args)).get(cls.criterions_key) or []


class PosinvEnhancementTask(PosinvTask, EnhancementTask):
    """Enhancement and separation."""


class PosinvExtractionTask(PosinvTask, TargetSpeakerExtractionTask):
    """Extraction of a target speaker."""


class PosinvEnhS2TTask(PosinvTask, EnhS2TTask):
    """Enhancement and recognition, translation or diarisation, trained jointly."""

    criterions_key = "enh_criterions"


TASKS = {
    EnhancementTask: PosinvEnhancementTask,
    TargetSpeakerExtractionTask: PosinvExtractionTask,
    EnhS2TTask: PosinvEnhS2TTask,
}
