"""The memory of a training step, and the largest batch that fits.

The tensors kept for the backward pass grow with the samples, and with their square where all pairs of frames
are compared (attention without a fused kernel, soft-DTW).  So, with B utterances of T seconds:

    bytes(B, T) = static + shared + B (a + b T + c T^2)

Static are the weights of the model and of the frozen encoder, gradients, and the optimizer's state. Shared
is what a step makes once for any batch: what two utterances of the longest T take less than twice one of
them. a, b, c are fitted to three steps of one utterance without it, by default T = 2, 4 and 8 s, with the
same model and criterion. On a GPU they are measured with its allocator; on a CPU with the sizes of all
tensors that PyTorch makes and frees, which is the GPU's memory without workspaces of its libraries.
"""

import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from espnet_posinv.device import find_device
from espnet_posinv.enh.model_folder import as_trained
from espnet_posinv.files import read_yaml
from espnet_posinv.sample_rate import SAMPLE_RATE

MIB = 2**20
CONTEXT = 600 * MIB  # the CUDA context and libraries' workspaces
SLACK = 0.1  # share lost to fragmentation
WRITTEN = ("required", "version", "distributed")  # added by ESPnet to its config.yaml, no settings


class PeakBytes(TorchDispatchMode):
    """Counts the bytes of tensors made within the block: ``live`` ones, and their ``peak``."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        # Storages of the arguments are not new: the results may be views or in-place results.
        given = {_address(t) for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for t in tree_iter(out):
            if not isinstance(t, torch.Tensor):
                continue
            address = _address(t)
            if address and address not in given and address not in self._known:
                storage = t.untyped_storage()
                self._known[address] = storage.nbytes()
                self.live += storage.nbytes()
                self.peak = max(self.peak, self.live)
                weakref.finalize(storage, self._freed, address)
        return out

    def _freed(self, address: int) -> None:
        self.live -= self._known.pop(address)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


@dataclass
class StepMemory:
    """Memory of steps: bytes(B, T) = static + shared + B (a + b T + c T^2), T in seconds."""

    static: int
    seconds: list[float]  # three or more lengths
    bytes: list[int]  # of a step of one utterance, with the shared ones
    shared: int = 0

    @property
    def coefficients(self) -> np.ndarray:
        """a, b, c in bytes, bytes/s, bytes/s^2; least squares."""
        return np.polynomial.polynomial.polyfit(self.seconds, np.array(self.bytes) - self.shared, 2)

    def predict(self, batch: int, seconds: float) -> float:
        """Bytes of a step of `batch` utterances of `seconds` s."""
        each = np.polynomial.polynomial.polyval(seconds, self.coefficients)
        return self.static + self.shared + batch * max(float(each), 0.0)

    def fits(self, memory: float, seconds: float) -> int:
        """Utterances of `seconds` s that fit into a step on a GPU with `memory` bytes."""
        usable = (memory - CONTEXT) * (1 - SLACK) - self.static - self.shared
        each = self.predict(1, seconds) - self.static - self.shared
        return max(0, int(usable // each)) if each > 0 else 0


class TrainingStep:
    """One optimisation step of a training configuration, on noise of a given size.

    Args:
        config: of a training as exp/MODEL/train.yaml, or as ESPnet has written it, exp/MODEL/config.yaml.
        device: where to measure.

    Raises:
        ValueError: the configuration has no criterion or unknown keys, or its encoder cannot be loaded.
    """

    def __init__(self, config: str | Path, device: str = "cpu"):
        from espnet_posinv.enh.task import PosinvEnhancementTask as Task

        self.device = find_device(device)
        self.rate = SAMPLE_RATE
        parser = Task.get_parser()
        settings = as_trained(read_yaml(config))
        settings = {key: value for key, value in settings.items() if key not in WRITTEN}
        if unknown := settings.keys() - {action.dest for action in parser._actions}:
            raise ValueError(f"{config}: no setting of a training: {', '.join(sorted(unknown))}")
        parser.set_defaults(**settings)
        args = parser.parse_args(["--output_dir", "unused"])
        if not Task.criterions_of(args):
            raise ValueError(f"{config}: no criterion; name the configuration of a training")
        self.model = Task.build_model(args).to(self.device).train()
        (self.optimizer,) = Task.build_optimizers(args, self.model)

    def __call__(self, batch: int, seconds: float) -> None:
        """Forward, backward, update."""
        wav = 0.1 * torch.randn(batch, int(seconds * self.rate), device=self.device)
        lengths = torch.full((batch,), wav.shape[1], device=self.device)
        loss, *_ = self.model(wav + 0.01, lengths, speech_ref1=wav, speech_ref1_lengths=lengths)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=False)  # gradients are kept: they count as static

    def static_bytes(self) -> int:
        """Weights, gradients, optimizer state and the criterions' frozen encoders; after a first step."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        tensors += [t for s in self.optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
        for wrapper in self.model.loss_wrappers:
            for encoder in getattr(wrapper.criterion, "_encoders", {}).values():
                tensors += [*encoder.parameters(), *encoder.buffers()]
        return sum(t.nbytes for t in {id(t): t for t in tensors}.values())

    def step_bytes(self, batch: int, seconds: float) -> int:
        """Peak bytes of a step in addition to the static ones."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self(batch, seconds)
            return torch.cuda.max_memory_allocated() - before
        with PeakBytes() as counter:
            self(batch, seconds)
        return counter.peak


def measure(step: TrainingStep, seconds: Sequence[float] = (2.0, 4.0, 8.0)) -> StepMemory:
    """Static bytes, those of a step of one utterance of each of `seconds`, and the shared ones."""
    step(1, min(seconds))  # loads the encoder, makes gradients and optimizer state
    alone = [step.step_bytes(1, s) for s in seconds]
    shared = 2 * alone[list(seconds).index(max(seconds))] - step.step_bytes(2, max(seconds))
    return StepMemory(step.static_bytes(), list(seconds), alone, min(max(shared, 0), *alone))


def describe(config, device: str, found: StepMemory, memory: float, lengths: Sequence[float]) -> str:
    """The plan as text: what was measured, what follows."""
    a, b, c = found.coefficients
    once = (found.static + found.shared) / MIB
    lines = [
        f"{config} ({device}, {time.strftime('%F')}): a step takes {once:.0f} MiB "
        f"+ batch x ({a / MIB:.1f} + {b / MIB:.1f} T + {c / MIB:.2f} T^2) MiB, T in seconds",
        "measured with one utterance: "
        + ", ".join(f"{s:g} s {n / MIB:.0f} MiB" for s, n in zip(found.seconds, found.bytes, strict=True)),
        f"on {memory / 2**30:g} GiB, less {CONTEXT / MIB:.0f} MiB for CUDA and {SLACK:.0%} for fragments:",
        "| seconds | utterances | batch_bins |\n|---:|---:|---:|",
    ]
    for s in lengths:
        fits = found.fits(memory, s)
        lines.append(f"| {s:g} | {fits} | {int(fits * s * SAMPLE_RATE)} |")
    return "\n".join(lines)
