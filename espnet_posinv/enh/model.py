"""ESPnet's enhancement models, which pass lengths, ids and sample rates of the batch to the criterions."""

from espnet2.enh.espnet_enh_s2t_model import ESPnetEnhS2TModel
from espnet2.enh.espnet_model import ESPnetEnhancementModel
from espnet2.enh.espnet_model_tse import ESPnetExtractionModel

from espnet_posinv.criterions.batch import batch_info
from espnet_posinv.enh.rates import KEY as RATES


class _SetsBatch:
    """Mix-in for ESPnet's models that sets ``current_batch()`` while they compute a loss."""

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


class _SetsLengths(_SetsBatch):
    """The same for models with their own criterions."""

    def forward_loss(self, speech_pre, speech_lengths, *args, **kwargs):
        # a joint model calls this, not forward
        with batch_info(lengths=speech_lengths):
            return super().forward_loss(speech_pre, speech_lengths, *args, **kwargs)


class PosinvEnhancementModel(_SetsLengths, ESPnetEnhancementModel):
    """ESPnet's enhancement model; its criterions get true lengths, utterance ids and sample rates."""


class PosinvExtractionModel(_SetsLengths, ESPnetExtractionModel):
    """Target speaker extraction, likewise."""


class PosinvEnhS2TModel(_SetsBatch, ESPnetEnhS2TModel):
    """Joint enhancement and recognition, translation or diarisation, likewise."""


# ESPnet's class and ours; ESPnet's diffusion model has no criterions
MODELS = {
    ESPnetEnhancementModel: PosinvEnhancementModel,
    ESPnetExtractionModel: PosinvExtractionModel,
    ESPnetEnhS2TModel: PosinvEnhS2TModel,
}
