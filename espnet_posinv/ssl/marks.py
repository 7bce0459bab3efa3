"""Recognise the same weights under any name and in any format.

A model's marks are its vectors (biases and gains of normalisations, which quantisation leaves alone), each
rounded to float16 and to bfloat16 and hashed. Two models with `SHARED` marks in common are the same, or one
is derived from the other.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

SHARED = 3  # a window or a table of frequencies may be equal in unrelated models
SMALLEST = 64  # numbers of a vector that is specific enough
PATTERNS = ("*.safetensors", "*.bin", "*.pth", "*.pt")


def marks(model: str | Path) -> list[str] | None:
    """Hashes of a model's vectors, which identify its weights.

    Args:
        model: a folder, a file, the name of a model on the hub, or one of these behind a loader
            (``transformers:facebook/hubert-base-ls960``); nothing is downloaded.

    Returns:
        Hexadecimal numbers, sorted; None: the weights are not available locally, or in an unknown format.
    """
    files = _files(str(model))
    return list(_marks(tuple((str(path), path.stat().st_mtime_ns) for path in files))) or None


def _files(model: str) -> list[Path]:
    """Local files of its weights."""
    loader, colon, rest = model.partition(":")
    if colon and not Path(model).exists():
        if loader == "torchaudio":
            import torchaudio

            file = getattr(getattr(torchaudio.pipelines, rest, None), "_path", "")
            path = Path(torch.hub.get_dir()) / "checkpoints" / Path(file).name
            return [path] if file and path.is_file() else []
        model = rest
    path = Path(model)
    if not path.exists() and model.count("/") == 1:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, "config.json")
        path = Path(cached).parent if isinstance(cached, str) else path
    if path.is_dir():
        return next((found for p in PATTERNS if (found := sorted(path.glob(p)))), [])
    return [path] if path.is_file() else []


@functools.lru_cache(maxsize=16)
def _marks(files: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    return tuple(marks_of(value for path, _ in files for value in _vectors(Path(path))))


def marks_of(tensors: Iterable[torch.Tensor]) -> list[str]:
    """The same of tensors; only vectors of `SMALLEST` numbers and more that differ count."""
    found = set()
    for value in tensors:
        if value.ndim != 1 or not value.is_floating_point() or len(value) < SMALLEST:
            continue
        value = value.detach().cpu().float().contiguous()
        if value.min() == value.max():
            continue
        for dtype in (torch.float16, torch.bfloat16):
            data = value.to(dtype).view(torch.int16).numpy().tobytes()
            found.add(hashlib.sha256(data).hexdigest()[:12])
    return sorted(found)


def _vectors(path: Path) -> Iterator[torch.Tensor]:
    """Tensors of a file of weights, all vectors among them; none of a file that cannot be read."""
    from safetensors import safe_open

    from espnet_posinv.ssl.ct2 import read_model

    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), "pt") as file:
                names = list(file.keys())
                tensors = [file.get_tensor(k) for k in names if len(file.get_slice(k).get_shape()) == 1]
        elif path.name == "model.bin" and path.with_name("config.json").exists():
            tensors = [torch.from_numpy(v.copy()) for v in read_model(path)[1].values() if v.ndim == 1]
        else:
            tensors = list(_leaves(torch.load(path, weights_only=True, map_location="cpu", mmap=True)))
    except Exception:  # what a format's reader raises: the weights are not known
        return
    yield from tensors


def _leaves(value) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
