"""ESPnet's enhancement models, telling the criterions what batch they are looking at."""

from espnet2.enh.espnet_enh_s2t_model import ESPnetEnhS2TModel
from espnet2.enh.espnet_model import ESPnetEnhancementModel

from espnet_posinv.criterions.batch import batch_info


def _known(kwargs: dict) -> dict:
    return {
        "utt_ids": kwargs.get("utt_id"),
        "perturbed": kwargs.get("perturbed_ref1"),
        "perturbed_lengths": kwargs.get("perturbed_ref1_lengths"),
    }


class PosinvEnhancementModel(ESPnetEnhancementModel):
    """ESPnet's enhancement model whose criterions know true lengths and utterance ids."""

    def forward(self, speech_mix, speech_mix_lengths=None, **kwargs):
        with batch_info(**_known(kwargs)):
            return super().forward(speech_mix, speech_mix_lengths, **kwargs)

    def forward_loss(self, speech_pre, speech_lengths, *args, **kwargs):
        # the joint model comes in here, never through forward
        with batch_info(lengths=speech_lengths):
            return super().forward_loss(speech_pre, speech_lengths, *args, **kwargs)


class PosinvEnhS2TModel(ESPnetEnhS2TModel):
    """Joint enhancement and recognition (or translation), likewise."""

    def forward(self, speech, speech_lengths=None, **kwargs):
        with batch_info(**_known(kwargs)):
            return super().forward(speech, speech_lengths, **kwargs)
