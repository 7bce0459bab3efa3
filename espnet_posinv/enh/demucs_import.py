"""Convert a user's checkpoint of the PyPI package ``denoiser`` into an ESPnet model folder.

This project includes neither the package nor its published weights (CC BY-NC 4.0). A checkpoint is either a
state dict, like the published ``dns48-*.th`` files, or the ``best.th`` of the package's training, which also
names the class of the model and its arguments.
"""

import pickle
from pathlib import Path

import torch

from espnet_posinv.enh.demucs import DEPTH, FLOOR, KERNEL, OVERSAMPLING, STRIDE, DemucsSeparator
from espnet_posinv.enh.model_folder import write_separator
from espnet_posinv.sample_rate import SAMPLE_RATE

# Arguments that change the network, with the only supported value of each.
FIXED = {
    "chin": 1,
    "chout": 1,
    "depth": DEPTH,
    "kernel_size": KERNEL,
    "stride": STRIDE,
    "causal": True,
    "resample": OVERSAMPLING,
    "growth": 2,
    "normalize": True,
    "glu": True,
    "floor": FLOOR,
    "sample_rate": SAMPLE_RATE,
}


def their_name(ours: str) -> str:
    """Name in the package's state dict of a parameter of :class:`DemucsSeparator`."""
    part, *rest = ours.split(".")
    if part == "lstm":
        return f"lstm.{ours}"
    level, kind = int(rest[0]), rest[1]
    if part in ("down", "widen"):
        return f"encoder.{level}.{0 if part == 'down' else 2}.{kind}"
    # their levels are numbered from the bottleneck
    return f"decoder.{DEPTH - 1 - level}.{0 if part == 'gate' else 2}.{kind}"


def read_weights(checkpoint: str | Path, hidden: int | None = None) -> tuple[int, dict[str, torch.Tensor]]:
    """Size and state dict of :class:`DemucsSeparator` from a checkpoint of ``denoiser``.

    Args:
        checkpoint: path of a state dict, or of a training's ``best.th``.
        hidden: the expected size; None: that of the checkpoint.

    Raises:
        ValueError: the file is not such a checkpoint, has another size than `hidden`, or a Demucs with
            unsupported arguments.
        FileNotFoundError: there is no such file.
    """
    # best.th names this class; ours replaces it, and no object of it is made.
    with torch.serialization.safe_globals([(DemucsSeparator, "denoiser.demucs.Demucs")]):
        try:
            loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ValueError(
                f"{checkpoint} is no file of weights only ({str(error).splitlines()[0]}). From a training of "
                "denoiser take best.th, not checkpoint.th, which also holds the optimizer and Python objects"
            ) from None
    if isinstance(loaded, dict) and isinstance(loaded.get("state"), dict):
        made_with = loaded.get("kwargs") or {}
        other = [f"{k}={made_with[k]}" for k, v in FIXED.items() if k in made_with and made_with[k] != v]
        if other:
            raise ValueError(
                f"{checkpoint}: a Demucs with {', '.join(other)}; only the published form is known"
            )
        loaded = loaded["state"]
    first = loaded.get("encoder.0.0.bias") if isinstance(loaded, dict) else None
    if not isinstance(first, torch.Tensor):
        raise ValueError(f"{checkpoint}: no Demucs of denoiser: it has no encoder.0.0.bias")
    if hidden not in (None, len(first)):
        raise ValueError(
            f"{checkpoint} has hidden {len(first)}, not {hidden}: import it with --hidden {len(first)}, and "
            f"set 'hidden: {len(first)}' in the separator_conf of its fine-tuning"
        )
    with torch.device("meta"):
        expected = {name: tuple(x.shape) for name, x in DemucsSeparator(1, len(first)).state_dict().items()}
    names = {their_name(name): name for name in expected}
    wrong = [
        f"  {name}: expected {expected[names[name]] if name in names else 'nothing'}, "
        f"found {tuple(loaded[name].shape) if name in loaded else 'nothing'}"
        for name in sorted(names.keys() | loaded.keys())
        if name not in names or name not in loaded or tuple(loaded[name].shape) != expected[names[name]]
    ]
    if wrong:
        raise ValueError(
            f"{checkpoint}: not the causal Demucs of depth {DEPTH}; weights that differ:\n" + "\n".join(wrong)
        )
    return len(first), {ours: loaded[theirs].float() for theirs, ours in names.items()}


def import_demucs(checkpoint: str | Path, output_dir: str | Path, *, hidden: int | None = None) -> int:
    """Write ``config.yaml`` and ``model.pth`` of an ESPnet enhancement model; see :func:`read_weights`.

    Returns the size, for ``hidden`` in the separator_conf of the fine-tuning.
    """
    size, weights = read_weights(checkpoint, hidden)
    write_separator(output_dir, DemucsSeparator.name, {"hidden": size}, weights)
    return size
