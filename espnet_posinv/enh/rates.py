"""Refuse to train on audio of another sample rate than the criterions' encoder expects.

Neither ESPnet's enhancement tasks nor a criterion sees a sample rate: 8 kHz speech would be taken for 16 kHz
speech at double speed, without a word.
"""

import soundfile

from espnet_posinv.sample_rate import SAMPLE_RATE

KEYS = ("speech_mix", "speech", "speech_ref1", "perturbed_ref1")


class CheckedRates:
    """Mix-in for ESPnet tasks: look at the first file of each list before the training starts."""

    @classmethod
    def build_iter_factory(cls, args, distributed_option, mode, kwargs=None):
        part = "valid" if mode == "valid" else "train"
        criterions = getattr(args, "criterions", None) or getattr(args, "enh_criterions", None) or []
        check_sample_rates(criterions, getattr(args, f"{part}_data_path_and_name_and_type"))
        return super().build_iter_factory(args, distributed_option, mode, kwargs)


def check_sample_rates(criterions: list[dict], files: list[tuple[str, str, str]]) -> None:
    """Compare the data's sample rate with the one that each criterion on SSL features is configured for.

    Args:
        criterions: as in the configuration, ``{"name": ..., "conf": {...}}``.
        files: ``(wav.scp, "speech_mix", "sound")`` etc.; other kinds than "sound" are not looked at.

    Raises:
        ValueError: they differ.
    """
    wanted = {
        c["name"]: c["conf"].get("sample_rate", SAMPLE_RATE) for c in criterions if "upstream" in c["conf"]
    }
    for scp, key, kind in files:
        if kind != "sound" or key not in KEYS:
            continue
        with open(scp, encoding="utf-8") as lines:
            path = next(lines).split(maxsplit=1)[1].strip()
        rate = soundfile.info(path).samplerate
        for name, expected in wanted.items():
            if rate != expected:
                raise ValueError(
                    f"{scp}: {path} has {rate} Hz, but {name} compares speech at {expected} Hz: resample the "
                    f"data to {expected} Hz"
                )
