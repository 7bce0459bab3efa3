"""Fine-tuning with all speech and noise in the device's memory, where each batch is mixed.

Reading data limits the speed of a small enhancer's training on a GPU. Here nothing is read during the
training: a batch takes a few tensor operations. For corpora that do not fit into memory, use ESPnet's
trainer.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from espnet_posinv.perturb.noise import SILENT_DB
from espnet_posinv.sample_rate import SAMPLE_RATE

FRAME, ACTIVE_DB = 320, 35.0  # samples, dB: active speech as in perturb.noise


@dataclass(frozen=True)
class Plan:
    """Settings of a training that determine its result, together with model, criterion and data."""

    steps: int = 3000
    batch: int = 32
    seconds: float = 4.0
    rate: float = 3e-4  # Adam's highest learning rate: a linear rise, then half a cosine down to 2 % of it
    warmup: int = 100
    clip: float = 1.0  # of the gradient's norm
    snr: tuple[float, float] = (-5.0, 20.0)  # dB, uniform
    level: tuple[float, float] = (-35.0, -18.0)  # dBFS over active speech, uniform
    vary: bool = True  # change speed, filter, add a second noise, replace a quarter by coloured noise
    seed: int = 0


def learning_rate(step: int, plan: Plan) -> float:
    """Rate of update `step`, from 0."""
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / plan.steps)))
    return plan.rate * min((step + 1) / plan.warmup, 0.02 + 0.98 * fall)


class Mixer:
    """Batches of noisy and clean speech, made on the device.

    Windows of speech are cut out of the concatenation of waveforms (T,) of 16 kHz; noises are waveforms (T,)
    by kind, all equally likely.
    """

    def __init__(
        self,
        speech: Sequence[torch.Tensor],
        noises: Mapping[str, torch.Tensor],
        plan: Plan,
        device: str | torch.device = "cpu",
    ):
        self.plan, self.device = plan, torch.device(device)
        self.length = round(plan.seconds * SAMPLE_RATE)
        if self.length < FRAME:
            raise ValueError(f"windows of {plan.seconds:g} s: at least {FRAME / SAMPLE_RATE:g} s are needed")
        for kind, z in noises.items():
            if len(z) < FRAME or 10 * math.log10(float(z.var(unbiased=False)) + 1e-30) < SILENT_DB:
                raise ValueError(f"noise {kind}: silent, or only {len(z)} samples; leave it out")
        self.generator = torch.Generator(self.device).manual_seed(plan.seed)
        self.speech = torch.cat(list(speech)).float().to(self.device)
        need = 2 * self.length + 2  # a window at twice the speed
        pieces = [z.repeat(-(-need // len(z))) if len(z) < need else z for _, z in sorted(noises.items())]
        self.lengths = torch.tensor([len(z) for z in pieces], device=self.device)
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.noise = torch.cat(pieces).float().to(self.device)
        if len(self.speech) < self.length:
            raise ValueError(f"{len(self.speech)} samples of speech: a window takes {self.length}")
        self.places = self._places()
        if not len(self.places):
            raise ValueError(f"no window of {plan.seconds:g} s holds speech: all are silent, or nearly so")

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy and clean speech (B, T), scaled together to stay below full scale."""
        plan = self.plan
        speech, power, active = self._speech()
        noise = self._noise(len(speech))
        snr = self._uniform(len(speech), *plan.snr)
        level = self._uniform(len(speech), *plan.level)
        # A noise that pauses while the speech is active must not become a bang elsewhere.
        heard = torch.maximum(_mean(noise, active), 0.01 * noise.square().mean(1)).clamp_min(1e-10)
        noise = noise * (power / heard / 10 ** (snr / 10)).sqrt()[:, None]
        gain = (10 ** (level / 10) / power).sqrt()[:, None]
        speech, noise = speech * gain, noise * gain
        mix = speech + noise
        peak = mix.abs().amax(1, keepdim=True).clamp_min(0.99) / 0.99
        return mix / peak, speech / peak

    def _uniform(self, count: int, low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=self.generator, device=self.device) * (high - low) + low

    def _windows(self, start: torch.Tensor) -> torch.Tensor:
        return self.speech[start[:, None] + torch.arange(self.length, device=self.device)]

    def _places(self) -> torch.Tensor:
        """First samples of windows with speech, every 0.1 s: above -45 dBFS, a quarter of it active."""
        starts = torch.arange(0, len(self.speech) - self.length + 1, SAMPLE_RATE // 10, device=self.device)
        kept = []
        for part in starts.split(256):
            power, active = _level(self._windows(part))
            kept.append(part[(power > 10**-4.5) & (active.float().mean(1) > 0.25)])
        return torch.cat(kept)

    def _speech(self):
        """Windows of speech (B, T), their power over active frames (B,), and which are active (B, N)."""
        chosen = torch.randint(
            len(self.places), (self.plan.batch,), generator=self.generator, device=self.device
        )
        x = self._windows(self.places[chosen])
        return x, *_level(x)

    def _noise(self, count: int) -> torch.Tensor:
        z = self._window(count)
        if not self.plan.vary:
            return z
        second = self._window(count) * 10 ** (self._uniform(count, -10, 5) / 20)[:, None]
        z = z + second * (self._uniform(count, 0, 1) < 0.3)[:, None]
        coloured = (self._uniform(count, 0, 1) < 0.25)[:, None]
        white = torch.randn(z.shape, generator=self.generator, device=self.device)
        return self._filtered(torch.where(coloured, white, z), coloured)

    def _window(self, count: int) -> torch.Tensor:
        """Segments of random kind and position, of unit power, at 0.7 to 1.4 times the speed."""
        kind = torch.randint(len(self.starts), (count,), generator=self.generator, device=self.device)
        speed = 2 ** self._uniform(count, -0.5, 0.5) if self.plan.vary else self._uniform(count, 1, 1)
        room = self.lengths[kind] - (self.length * speed).long() - 2
        place = (self._uniform(count, 0, 1).double() * room).long()
        at = torch.arange(self.length, device=self.device) * speed[:, None]
        whole = at.long()
        first = (self.starts[kind] + place)[:, None] + whole
        part = at - whole
        z = self.noise[first] * (1 - part) + self.noise[first + 1] * part
        return z / (z.square().mean(1, keepdim=True) + 1e-8).sqrt()

    def _filtered(self, z: torch.Tensor, coloured: torch.Tensor) -> torch.Tensor:
        """Apply a smooth random filter of +-10 dB; coloured noise falls by 0 to 6 dB an octave more."""
        spectrum = torch.fft.rfft(z)
        bands = 8
        gains = (torch.rand(len(z), bands, generator=self.generator, device=self.device) - 0.5) * 20
        octave = (
            torch.linspace(0, 1, spectrum.shape[1], device=self.device).clamp_min(1e-4).log2().clamp(-7, 0)
        )
        place = (octave + 7) / 7 * (bands - 1)
        low = place.long().clamp_max(bands - 2)
        curve = gains[:, low] * (1 - (place - low)) + gains[:, low + 1] * (place - low)
        slope = self._uniform(len(z), 0, 6)[:, None] * coloured
        return torch.fft.irfft(spectrum * 10 ** ((curve - slope * octave) / 20), n=z.shape[1])


def _level(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Power over active frames (B,), and which frames are active (B, N)."""
    power = F.avg_pool1d(x.square()[:, None], FRAME)[:, 0]
    active = power >= power.amax(1, keepdim=True) * 10 ** (-ACTIVE_DB / 10)
    return (power * active).sum(1) / active.sum(1), active


def _mean(x: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
    """Power over the active frames (B,)."""
    return (F.avg_pool1d(x.square()[:, None], FRAME)[:, 0] * active).sum(1) / active.sum(1)


def finetune(
    model: torch.nn.Module,
    enhance: Callable[[torch.Tensor], torch.Tensor],
    criterion: Callable,
    mixer: Mixer,
    plan: Plan,
    *,
    log: Callable[[dict], None] = print,
    every: int = 100,
) -> None:
    """Train `model` in place.

    Args:
        enhance: applies the model to waveforms (B, T).
        criterion: ``criterion(clean, enhanced, lengths)``, the loss of each utterance (B,).
        log: receives ``{"step", "loss", "rate", "seconds"}`` every `every` updates, with the mean loss since
            the last call.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(plan.seed)  # for the criterions' draws
    optimizer = torch.optim.Adam(model.parameters(), plan.rate)
    model.train()
    total, began = 0.0, time.time()
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        noisy, clean = mixer()
        lengths = torch.full((len(noisy),), noisy.shape[1])
        loss = criterion(clean, enhance(noisy), lengths).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        optimizer.step()
        total = total + loss.detach()
        if (step + 1) % every == 0 or step + 1 == plan.steps:
            mean = float(total) / ((step % every) + 1)
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"update {step + 1}: the loss is {mean}; lower the rate ({plan.rate})"
                )
            log(
                {
                    "step": step + 1,
                    "loss": round(mean, 6),
                    "rate": learning_rate(step, plan),
                    "seconds": round(time.time() - began, 1),
                }
            )
            total = 0.0
    model.eval()
