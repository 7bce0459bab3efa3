"""Pack a trained model into a folder with only the files that inference needs.

ESPnet's own tools and `espnet_posinv.Enhancer.from_pretrained` read the result: a configuration without paths
of the training machine and without criterions (so no SSL model is needed), and the weights as plain tensors.
"""

from pathlib import Path

import yaml

from espnet_posinv.files import atomic_write, read_yaml, replacing

# What describes the model; everything else in ESPnet's config.yaml is about the training run.
MODEL_KEYS = (
    *("encoder", "encoder_conf", "separator", "separator_conf", "decoder", "decoder_conf"),
    *("mask_module", "mask_module_conf", "model_conf", "preprocessor", "preprocessor_conf", "num_spk"),
)
# Makes training data only, from files of the training machine; ESPnet's own tools do not have it.
TRAINING_ONLY = "noise_mixing"


def pack(config: Path, checkpoint: Path, output_dir: Path) -> None:
    """Write ``config.yaml`` and ``model.pth`` from a configuration and a state dict, both atomically.

    Raises:
        ValueError: the configuration has no separator, or the checkpoint holds something else than tensors.
        OSError: a file cannot be read or written.
    """
    import torch

    values = read_yaml(config)
    if "separator" not in values:
        raise ValueError(f"{config} is no configuration of an enhancement model: it names no separator")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # pickle, zip and torch each have their own
        raise ValueError(f"{checkpoint} is broken or no checkpoint: {error}") from error
    others = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(
            f"{checkpoint} holds more than tensors ({', '.join(others[:3])}); give the model's weights"
        )
    kept = {key: values[key] for key in MODEL_KEYS if key in values}
    if kept.get("preprocessor") == TRAINING_ONLY:
        kept = {key: value for key, value in kept.items() if not key.startswith("preprocessor")}
    with replacing(output_dir / "model.pth") as temporary:
        torch.save(state, temporary)
    with atomic_write(output_dir / "config.yaml") as file:
        yaml.safe_dump({**kept, "criterions": [], "init": None}, file, sort_keys=False)
