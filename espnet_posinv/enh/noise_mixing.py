"""Reproducible mixing of training data with noise, on the fly.

ESPnet's own ``preprocessor: enh`` can add noise too. But it draws from one random stream for each worker, so
its mixtures depend on the number of workers and on the batches, and all processes of a multi-GPU training
draw the same noises; and it sets the SNR by the power of the whole noise segment and amplifies silent ones.
Here an utterance's noise depends on its id and the epoch only, its SNR is one of a list, and the mixing is
the same as for the test sets.
"""

import numpy as np
import torch
from espnet2.train.preprocessor import AbsPreprocessor

from espnet_posinv.perturb.random_noise import RandomNoise, read_noises
from espnet_posinv.perturb.seeding import generator

NAME = "noise_mixing"  # in a configuration: preprocessor: noise_mixing


class NoiseMixing(AbsPreprocessor):
    """Replaces the mixture of a training utterance by its reference with noise.

    Args:
        train: False for validation and inference, where the data do not change.
        noise_scp: lines ``kind path``, or a folder of kinds; all recordings are kept in memory (one copy for
            all workers).
        snrs: dB, of which one is drawn.
    """

    def __init__(self, train: bool, noise_scp: str, snrs=(5.0, 10.0, 20.0)):
        super().__init__(train)
        if not isinstance(snrs, (list, tuple)) or any(isinstance(snr, str) for snr in snrs):
            raise ValueError(f"snrs: {snrs!r}, but a list of numbers is needed")
        self.noises = RandomNoise(read_noises(noise_scp), tuple(snrs)) if train else None

    def __call__(self, uid: str, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Replace ``speech_mix`` (and ``noise_ref1``) by a mixture of ``speech_ref1`` (T,).

        If the mixture would clip, it is scaled together with its references.

        Raises:
            ValueError: the utterance cannot be mixed.
        """
        if not self.train:
            return data
        try:
            mixture = self.noises.mix(data["speech_ref1"], generator("noise", uid, epoch_seed())).mixture
        except ValueError as error:
            raise ValueError(f"utterance {uid}: {error}") from error
        new = {"speech_mix": mixture.mix, "speech_ref1": mixture.speech}
        if "noise_ref1" in data:
            new["noise_ref1"] = mixture.noise
        return {**data, **new}


def epoch_seed() -> int:
    """A number that changes with the epoch and is the same in all workers and processes of a training.

    ESPnet seeds torch with ``seed + epoch`` before each epoch. A worker's seed is a number drawn from that
    generator at the start of the epoch plus the worker's number.
    """
    worker = torch.utils.data.get_worker_info()
    return torch.initial_seed() if worker is None else worker.seed - worker.id
