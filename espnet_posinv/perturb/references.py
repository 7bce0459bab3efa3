"""Tempo-changed copies of a data directory's clean references, for training (``perturbed_ref1``)."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.files import replacing
from espnet_posinv.kaldi.audio import read_channel
from espnet_posinv.kaldi.scp import read_scp, write_scp
from espnet_posinv.perturb.seeding import generator
from espnet_posinv.perturb.tempo import Tempo


def perturb_references(
    data: str | Path, output: str | Path, tempo: Tempo, *, seed: int = 0, nj: int = 1
) -> dict[str, float]:
    """Write a changed copy of each utterance of spk1.scp, and ``perturbed_ref1.scp`` and ``utt2tempo``.

    The factor of an utterance depends on its id and the seed alone, so another run, or one with other
    utterances, gives the same files; those that exist are kept, so a run that was stopped goes on.

    Args:
        data: data directory with spk1.scp; perturbed_ref1.scp and utt2tempo are written into it.
        output: folder for the audio; its name should tell tempo and seed apart from others.
        tempo: factors and method.
        seed: another seed, other draws.
        nj: processes.

    Returns:
        The factor of each utterance.

    Raises:
        ValueError: a reference that cannot be read, or has several channels.
    """
    data, output = Path(data), Path(output)
    references = read_scp(data / "spk1.scp")
    factors = {utt: tempo.draw(generator("tempo", utt, seed)) for utt in references}
    jobs = [(path, output / f"{utt}_{factors[utt]:g}.wav", factors[utt]) for utt, path in references.items()]
    with ProcessPoolExecutor(nj) as pool:
        for _ in pool.map(partial(_perturb, tempo=tempo), *zip(*jobs, strict=True), chunksize=8):
            pass
    written = {utt: str(target) for utt, (_, target, _) in zip(references, jobs, strict=True)}
    write_scp(data / "perturbed_ref1.scp", written)
    write_scp(data / "utt2tempo", {utt: f"{factor:g}" for utt, factor in factors.items()})
    return factors


def _perturb(path, target, factor, *, tempo):
    if target.exists():
        return
    wav, rate = read_channel(path)
    changed = tempo.apply(wav.astype(np.float32), rate, factor)
    changed = changed / max(1.0, np.abs(changed).max())  # new phases can make peaks beyond full scale
    with replacing(target) as temporary:
        soundfile.write(temporary, changed, rate, subtype="PCM_16", format="WAV")
