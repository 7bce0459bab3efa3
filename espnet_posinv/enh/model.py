"""ESPnet's enhancement models, telling the criterions what batch they are looking at."""

from espnet2.enh.espnet_enh_s2t_model import ESPnetEnhS2TModel
from espnet2.enh.espnet_model import ESPnetEnhancementModel
from espnet2.enh.espnet_model_tse import ESPnetExtractionModel

from espnet_posinv.criterions.batch import batch_info
from espnet_posinv.enh.rates import KEY as RATES


class _TellsItsBatch:
    """Mix-in for ESPnet's models: while they compute a loss, ``current_batch()`` knows the batch."""

    def forward(self, *args, **kwargs):
        rates = kwargs.get(RATES)
        known = {
            "utt_ids": kwargs.get("utt_id"),
            "sample_rates": None if rates is None else rates.flatten(),
            "perturbed": kwargs.get("perturbed_ref1"),
            "perturbed_lengths": kwargs.get("perturbed_ref1_lengths"),
        }
        with batch_info(**known):
            return super().forward(*args, **kwargs)


class _TellsLengths(_TellsItsBatch):
    """The same for models with criterions of their own."""

    def forward_loss(self, speech_pre, speech_lengths, *args, **kwargs):
        # a joint model comes in here, never through forward
        with batch_info(lengths=speech_lengths):
            return super().forward_loss(speech_pre, speech_lengths, *args, **kwargs)


class PosinvEnhancementModel(_TellsLengths, ESPnetEnhancementModel):
    """ESPnet's enhancement model whose criterions know true lengths, utterance ids and sample rates."""


class PosinvExtractionModel(_TellsLengths, ESPnetExtractionModel):
    """Target speaker extraction, likewise."""


class PosinvEnhS2TModel(_TellsItsBatch, ESPnetEnhS2TModel):
    """Joint enhancement and recognition, translation or diarisation, likewise."""


# what becomes what; ESPnet's diffusion model has no criterions
MODELS = {
    ESPnetEnhancementModel: PosinvEnhancementModel,
    ESPnetExtractionModel: PosinvExtractionModel,
    ESPnetEnhS2TModel: PosinvEnhS2TModel,
}
