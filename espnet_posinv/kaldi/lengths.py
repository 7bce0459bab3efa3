"""Lengths of utterances and recordings: utt2num_samples, utt2dur and reco2dur from the audio."""

from pathlib import Path

from espnet_posinv.kaldi.audio import bounds, info_or_error
from espnet_posinv.kaldi.datadir import DataDir
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.kaldi.schema import LENGTHS
from espnet_posinv.kaldi.scp import DataError, listed, write_scp


def write_lengths(path: str | Path, names: tuple[str, ...] = LENGTHS, *, jobs: int | None = None) -> None:
    """Write utt2num_samples (per channel), utt2dur and reco2dur (seconds) from the audio in wav.scp.

    Raises:
        DataError: audio that cannot be opened, or a segment outside its recording (up to 20 are listed).
    """
    data = DataDir(path)
    wavs = data.read("wav.scp")
    results = parallel_map(info_or_error, list(wavs.values()), label="lengths", jobs=jobs)
    found = dict(zip(wavs, results, strict=True))
    errors = [f"{data.path}/wav.scp: {key!r}: {what}" for key, what in found.items() if isinstance(what, str)]
    if errors:
        raise listed(errors)
    samples = {}
    for utt in data.utts:
        reco = data.reco_of(utt)
        if reco not in found:
            raise DataError(f"{data.path}/wav.scp: no {reco!r} for {utt!r}; run utils/fix_data_dir.sh")
        rate, length = found[reco].rate, found[reco].samples
        if data.segmented:
            _, start, end = data.segments[utt]
            try:
                first, last = bounds(length, rate, start, end, wavs[reco])
            except DataError as error:
                errors.append(f"{data.path}/segments: {utt!r}: {error}; correct or delete the line")
                continue
            length = last - first
        samples[utt] = (length, rate)
    if errors:
        raise listed(errors)
    tables = {
        "utt2num_samples": {utt: str(length) for utt, (length, _) in samples.items()},
        "utt2dur": {utt: f"{length / rate:.6g}" for utt, (length, rate) in samples.items()},
        "reco2dur": {reco: f"{info.samples / info.rate:.6g}" for reco, info in found.items()},
    }
    for name in names:
        write_scp(data.path / name, tables[name])
