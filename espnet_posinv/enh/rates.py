"""Check the sample rate of every utterance that an ESPnet training reads.

Neither ESPnet's enhancement tasks nor a criterion sees a sample rate: 8 kHz speech would silently be used as
16 kHz speech at double speed.  But ESPnet's readers keep the rate of the last file that they read.  A recipe
has one rate, which must be that of the criterions, or it allows several (``--allow_multi_rates true``): then
each utterance's rate goes to the criterions, which resample.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import soundfile

from espnet_posinv import espnet_compat
from espnet_posinv.sample_rate import SAMPLE_RATE

# Name of the rates in a batch.  Not ESPnet's own utt2fs, which changes the model's behaviour.  ESPnet's chunk
# iterator leaves both unchanged.
KEY = "utt2fs0"
SIGNALS = ("speech", "dereverb_ref", "noise_ref", "perturbed_ref", "enroll_ref")


class KnownRates:
    """Mix-in for ESPnet tasks that checks rates: of the first files at the start, of all others when read."""

    @classmethod
    def build_iter_factory(cls, args, distributed_option, mode, kwargs=None):
        wanted = wanted_rates(cls.criterions_of(args))
        several = getattr(args, "allow_multi_rates", False)
        part = "valid" if mode in ("valid", "plot_att") else "train"
        if wanted and not several:
            check_first_files(wanted, getattr(args, f"{part}_data_path_and_name_and_type"))
        factory = super().build_iter_factory(args, distributed_option, mode, kwargs)
        if wanted:
            for dataset in espnet_compat.datasets(factory):
                dataset.preprocess = CheckedUtterance(dataset, {} if several else wanted)
        return factory


def wanted_rates(criterions: Iterable[Mapping]) -> dict[str, int]:
    """Sample rate at which each criterion on SSL features compares, by the criterion's name.

    Args:
        criterions: as in a configuration, ``{"name": ..., "conf": {...}}``; ``conf`` may be missing.
    """
    confs = ((item["name"], item.get("conf") or {}) for item in criterions)
    return {name: conf.get("sample_rate", SAMPLE_RATE) for name, conf in confs if "upstream" in conf}


def check_first_files(wanted: Mapping[str, int], files: Iterable[tuple[str, str, str]]) -> None:
    """Check the rate of the first file of each list, before the training starts.

    Args:
        wanted: from :func:`wanted_rates`.
        files: ``(wav.scp, "speech_mix", "sound")`` etc.; other kinds than "sound" are not checked.

    Raises:
        ValueError: another rate than a criterion's.
    """
    for scp, key, kind in files:
        if kind != "sound" or not key.startswith(SIGNALS):
            continue
        with open(scp, encoding="utf-8") as lines:
            utterance, path = next(lines).split(maxsplit=1)
        _check(wanted, soundfile.info(path.strip()).samplerate, scp, utterance)


class CheckedUtterance:
    """ESPnet's preprocessing of an utterance, after a check of its rates.

    Args:
        dataset: ESPnet's, whose readers have the rates.
        wanted: rate of each criterion; empty if several rates are allowed: then the utterance's rate is added
            to the data as ``utt2fs0``, ``(1,)`` int.
    """

    def __init__(self, dataset, wanted: Mapping[str, int]):
        self.dataset, self.preprocess, self.wanted = dataset, dataset.preprocess, wanted

    def __repr__(self):
        return f"{self.preprocess}, after a check of the sample rate"

    def __call__(self, uid: str, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Check, preprocess.

        Raises:
            ValueError: a rate that a criterion cannot take, or several rates in one utterance.
        """
        found = dict(self.rates())
        for name, rate in found.items():
            _check(self.wanted, rate, espnet_compat.path_of(self.dataset, name), uid)
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{name} {rate}" for name, rate in found.items())
            raise ValueError(f"utterance {uid}: its signals have several sample rates (Hz): {listed}")
        noted = int(np.asarray(data["fs"]).item()) if "fs" in data else None
        rate = next(iter(found.values()), noted)
        if noted not in (None, rate):
            raise ValueError(f"utterance {uid}: utt2fs says {noted} Hz, but its files have {rate} Hz")
        if rate is None and not self.wanted:
            raise ValueError(f"utterance {uid}: neither its files nor a utt2fs say its sample rate")
        if self.preprocess is not None:
            data = self.preprocess(uid, data)
        return data if self.wanted else {**data, KEY: np.array([rate])}

    def rates(self) -> Iterator[tuple[str, int]]:
        """Names of the signals and the rates of their last files."""
        for name, reader in self.dataset.loader_dict.items():
            rate = espnet_compat.last_rate(reader)
            if name.startswith(SIGNALS) and rate is not None:
                yield name, rate


def _check(wanted: Mapping[str, int], rate: int, scp: str, utterance: str) -> None:
    for name, expected in wanted.items():
        if rate != expected:
            raise ValueError(
                f"{scp}: {utterance} has {rate} Hz, but {name} compares speech at {expected} Hz: resample "
                f"it to {expected} Hz, or, where the model takes several rates, set allow_multi_rates: true"
            )
