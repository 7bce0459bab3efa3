"""Tempo-changed copies of a data directory's clean references, for training (``perturbed_ref1``)."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from espnet_posinv.files import replacing
from espnet_posinv.kaldi import journal
from espnet_posinv.kaldi.audio import read_channel
from espnet_posinv.kaldi.entry import state
from espnet_posinv.kaldi.scp import read_scp, write_scp
from espnet_posinv.perturb.seeding import generator
from espnet_posinv.perturb.tempo import Tempo


def perturb_references(
    data: str | Path, output: str | Path, tempo: Tempo, *, seed: int = 0, nj: int = 1
) -> dict[str, float]:
    """Write changed copies of the utterances in spk1.scp, and `data`'s perturbed_ref1.scp and utt2tempo.

    The factor of an utterance depends on its id and the seed only. Existing copies of unchanged references
    are kept, so an interrupted run can be resumed.

    Args:
        output: folder for the audio, another one for each tempo and seed.
        tempo: factors and method.

    Returns:
        The factor of each utterance.

    Raises:
        ValueError: a reference that cannot be read, or has several channels.
    """
    data, output = Path(data), Path(output)
    references = read_scp(data / "spk1.scp")
    factors = {utt: tempo.draw(generator("tempo", utt, seed)) for utt in references}
    written = {utt: str(output / f"{utt}_{factor:g}.wav") for utt, factor in factors.items()}
    output.mkdir(parents=True, exist_ok=True)
    before = journal.read(output)
    jobs = []
    for utt, path in references.items():
        mark = hashlib.sha1(repr((path, state(path), factors[utt], tempo.method)).encode()).hexdigest()
        there = before.get(utt)
        if state(path) is None or not (there and there.mark == mark and there.is_there()):
            jobs.append((utt, path, written[utt], mark, factors[utt]))
    with journal.append(output) as log, ProcessPoolExecutor(nj) as pool:
        # These files are overwritten below: their old notes must not count after a kill.
        log.writelines(journal.line(utt, journal.NOTHING) for utt, *_ in jobs)
        log.flush()
        for line in pool.map(partial(_perturb, tempo=tempo), jobs, chunksize=8):
            log.write(line)
            log.flush()
    write_scp(data / "perturbed_ref1.scp", written)
    write_scp(data / "utt2tempo", {utt: f"{factor:g}" for utt, factor in factors.items()})
    return factors


def _perturb(job: tuple[str, str, str, str, float], *, tempo: Tempo) -> str:
    """Write one copy; returns its line of the journal."""
    utt, path, target, mark, factor = job
    wav, rate = read_channel(path)
    changed = tempo.apply(wav.astype(np.float32), rate, factor)
    changed = changed / max(1.0, np.abs(changed).max())  # new phases can raise peaks above full scale
    with replacing(target) as temporary:
        soundfile.write(temporary, changed, rate, subtype="PCM_16", format="WAV")
    return journal.line(utt, journal.Entry(mark, target, len(changed)))
