"""Stored features of the clean references, so that training steps need not encode them.

A folder holds features.ark and features.scp, Kaldi matrices (N, D) float32 with the key UTTERANCE@SPEED,
utt2rms, the level of each encoded reference, and encoder.json, the encoder's settings.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import kaldiio
import torch

from espnet_posinv.criterions.batch import current_batch
from espnet_posinv.device import to_device
from espnet_posinv.files import new_folder, read_json
from espnet_posinv.kaldi.audio import read_mono
from espnet_posinv.kaldi.scp import read_scp
from espnet_posinv.perturb.speed import change_speed, changed_length
from espnet_posinv.ssl import SSLEncoder
from espnet_posinv.ssl.masking import span_mask


def key(utterance: str, speed: float) -> str:
    """The key of the features of an utterance at a speed."""
    return f"{utterance}@{speed:g}"


class StoredReferences:
    """Features in a folder that :func:`store_references` made.

    Args:
        folder: of the features.
        facts: the criterion's settings; must be those of the stored features.

    Raises:
        ValueError: no features, or of another encoder or with other options.
    """

    def __init__(self, folder: str | Path, facts: dict):
        self.folder = Path(folder)
        path = self.folder / "encoder.json"
        if not path.is_file():
            raise ValueError(
                f"references {folder}: there is no {path}; make it with posinv data store-references"
            )
        found = read_json(path)
        for name in sorted(facts.keys() | found.keys()):
            if facts.get(name) != found.get(name):
                raise ValueError(
                    f"{path}: made with {name} {found.get(name)!r}, but the criterion has {facts.get(name)!r}"
                )
        self.table = kaldiio.load_scp(str(self.folder / "features.scp"))
        self.rms = {utt: float(value) for utt, value in read_scp(self.folder / "utt2rms").items()}

    def of_batch(
        self, encoder: SSLEncoder, ref: torch.Tensor, lengths: torch.Tensor, speeds: Sequence[float] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """F(clean), ``(B, N, D)``, and its frames ``(B,)``, of the current batch at B speeds (None: 1).

        Raises:
            ValueError: the batch has no utterance ids, or as :meth:`batch`.
        """
        ids = current_batch().utt_ids
        if ids is None or len(ids) != len(ref):
            raise ValueError(
                "references are stored by utterance, but the batch has no utterance ids "
                "(run ESPnet through python -m espnet_posinv, without a PIT solver)"
            )
        speeds = [1.0] * len(ref) if speeds is None else speeds
        samples = [changed_length(n, s) for n, s in zip(lengths.tolist(), speeds, strict=True)]
        frames = encoder.frame_lengths(torch.tensor(samples))
        lengths = to_device(lengths, ref.device)
        inside = span_mask(torch.zeros_like(lengths), lengths, ref.shape[1])
        rms = (ref.masked_fill(~inside, 0.0).square().sum(1) / lengths).sqrt()
        return self.batch(ids, speeds, frames, rms).to(ref.device), frames.to(ref.device)

    def batch(
        self, utterances: Sequence[str], speeds: Sequence[float], frames: torch.Tensor, rms: torch.Tensor
    ) -> torch.Tensor:
        """``(B, N, D)``, on the CPU, of B utterances at B speeds.

        Args:
            frames: ``(B,)``, expected numbers of frames.
            rms: ``(B,)``, root mean square of the references in the training.

        Raises:
            ValueError: an utterance or speed is not stored, or has another length or level.
        """
        found = []
        rows = zip(utterances, speeds, frames.tolist(), rms.tolist(), strict=True)
        for utterance, speed, count, level in rows:
            name = key(utterance, speed)
            if name not in self.table:
                raise ValueError(f"{self.folder}/features.scp: {name} is not stored")
            features = self.table[name]
            if len(features) != count:
                raise ValueError(
                    f"{self.folder}: {name} has {len(features)} frames, but the utterance {count}: whole "
                    "utterances are stored, as the sequence iterator gives them, not chunks"
                )
            stored = self.rms[utterance]
            if abs(level - stored) > 1e-3 * stored:
                raise ValueError(
                    f"{self.folder}: {utterance} was stored with an RMS of {stored:.4g}, but the "
                    f"training has it with {level:.4g}: its preprocessor or normalize_variance changes the "
                    "reference, or these are other recordings"
                )
            found.append(torch.from_numpy(features.copy()))
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)


@torch.no_grad()
def store_references(
    encoder, facts: dict, data: Iterable[str | Path], speeds: Sequence[float], output: str | Path
) -> int:
    """Encode the utterances of each spk1.scp at each speed; returns how many matrices were written.

    The folder appears under its name when it is complete.

    Args:
        facts: settings of the encoder, for encoder.json.
        data: data directories with spk1.scp.
        output: folder, must not exist.

    Raises:
        ValueError: the folder exists, an utterance in two directories, or audio that cannot be read, has
            several channels or another sample rate.
    """
    output = Path(output)
    if output.exists():
        raise ValueError(f"{output} exists: delete it, or name another folder")
    paths: dict[str, str] = {}
    for folder in data:
        more = read_scp(Path(folder) / "spk1.scp")
        twice = sorted(paths.keys() & more.keys())
        if twice:
            raise ValueError(f"{folder}/spk1.scp: {twice[0]} was in an earlier directory already")
        paths |= more
    with new_folder(output) as part:
        device = next(encoder.parameters()).device
        written, levels = 0, []
        with kaldiio.WriteHelper(f"ark,scp:{part}/features.ark,{part}/features.scp") as write:
            for utterance, path in paths.items():
                wav = torch.from_numpy(read_mono(path, encoder.sample_rate)).float()[None].to(device)
                levels.append(f"{utterance} {wav.square().mean().sqrt().item()}\n")
                for speed in speeds:
                    moved, lengths = change_speed(wav, torch.tensor([wav.shape[1]], device=device), [speed])
                    write(key(utterance, speed), encoder(moved, lengths)[0][0].cpu().numpy())
                    written += 1
        # the list must name the archive by its final path
        scp = (part / "features.scp").read_text(encoding="utf-8")
        (part / "features.scp").write_text(scp.replace(f"{part}/", f"{output}/"), encoding="utf-8")
        (part / "utt2rms").write_text("".join(levels), encoding="utf-8")
        (part / "encoder.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return written
