"""Train the mini HuBERT, or its positional twin, on the clusters of a teacher."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from espnet_posinv.files import replacing
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import SSLEncoder
from pretraining.labels import Teacher, cluster
from pretraining.model import HOP, WINDOW, MaskedPrediction, draw_mask, mini_config
from pretraining.streams import Streams, crop

CLUSTERS = 2000


@dataclass
class Plan:
    """What decides the result."""

    steps: int
    batch: int = 96
    seconds: float = 4.0
    rate: float = 1e-3
    warmup: float = 0.08  # share of the steps
    seed: int = 0
    positional: bool = False  # utterances from their first sample; the frame's index is a second target

    @property
    def length(self) -> int:
        """Samples of a window."""
        return round(self.seconds * 50) * HOP

    def model(self) -> MaskedPrediction:
        """A model of random weights."""
        frames = (self.length - WINDOW) // HOP + 1
        return MaskedPrediction(mini_config(), CLUSTERS, frames if self.positional else 0)

    def place_weight(self, step: int) -> float:
        """How much the frame's index counts beside the cluster: content first."""
        return 0.0 if not self.positional else 0.1 if step < 2 * self.steps / 3 else 0.3


def learning_rate(step: int, plan: Plan) -> float:
    """Linear warm-up to `plan.rate`, then half a cosine down to zero."""
    warm = max(1, round(plan.warmup * plan.steps))
    if step < warm:
        return plan.rate * (step + 1) / warm
    return plan.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, plan.steps - warm)))


def save(path: Path, state: dict) -> None:
    """Write tensors and plain types, complete or not at all."""
    with replacing(path) as temporary:
        torch.save(state, temporary)


def labels_of(streams: Streams, work: Path, plan: Plan, name: str, encoder: SSLEncoder, say: Callable):
    """Clusters of every frame `(frames,)`, kept in `work`/labels.pt.

    Raises:
        ValueError: those kept are of other speech or another teacher.
    """
    path = work / "labels.pt"
    source = f"{name}, layer {encoder.layers[0]}, weights {encoder.fingerprint()[:12]}"
    if path.exists():
        kept = torch.load(path, weights_only=True, map_location=streams.audio.device)
        if len(kept["labels"]) != streams.frames:
            raise ValueError(
                f"{path}: {len(kept['labels'])} frames, but the speech has {streams.frames}: made from other "
                f"speech; delete {work} or choose another folder"
            )
        if kept["teacher"] != source:
            raise ValueError(
                f"{path}: clusters of {kept['teacher']}, but the teacher is {source}; name the former, "
                f"delete {work}, or choose another folder"
            )
        return kept["labels"]
    began = time.time()
    labels, unexplained = cluster(streams, Teacher(encoder, streams), CLUSTERS, plan.seed)
    say(f"{CLUSTERS} clusters, {unexplained:.2f} of the variance unexplained, {time.time() - began:.0f} s")
    save(path, {"labels": labels, "teacher": source})
    return labels


def train(
    streams: Streams,
    work: Path,
    plan: Plan,
    teacher: tuple[str, SSLEncoder],
    marks: Sequence[str],
    say: Callable = print,
    save_every: float = 120.0,
) -> None:
    """Train, or go on; writes `work`/checkpoint.pt and appends to `work`/log.jsonl.

    Args:
        streams: the speech, on the device to train on.
        work: folder of labels and checkpoint.
        plan: what to do; that of an unfinished checkpoint is kept.
        teacher: name and encoder of the model whose clusters are learned.
        marks: of the teacher's weights as they are stored (`ssl.marks`): in bfloat16 the encoder has rounded
            them.
        say: prints a line.
        save_every: seconds between checkpoints.

    Raises:
        ValueError: labels of other speech or of another teacher, or a checkpoint of the other twin.
        FloatingPointError: the loss is not finite.
    """
    path, device, step = work / "checkpoint.pt", streams.audio.device, 0
    labels = labels_of(streams, work, plan, *teacher, say)
    taught = {"teachers": [teacher[0]], "teacher_weights": marks}
    torch.manual_seed(plan.seed)
    model = plan.model().to(device).train()
    optimizer = torch.optim.AdamW(
        model.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=streams.audio.is_cuda
    )
    generator = torch.Generator(device).manual_seed(plan.seed)
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        if state["plan"]["positional"] != plan.positional:
            raise ValueError(f"{path}: of the other twin; give it another --work folder")
        plan, step = Plan(**state["plan"]), state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        say(f"going on at step {step} of {plan.steps}")
    began = last_save = last_log = time.time()
    first = since = step
    sums = torch.zeros(2, device=device)
    while step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        wav, target = crop(streams, labels, plan.batch, plan.length, generator, plan.positional)
        mask = draw_mask(*target.shape, generator, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, hits = model(wav, target, mask, plan.place_weight(step))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        sums += torch.stack([loss.detach(), hits])
        now = time.time()
        if now - last_log > 10 or step == plan.steps:
            mean, hit = (sums / (step - since)).tolist()
            if not math.isfinite(mean):
                raise FloatingPointError(f"step {step}: the loss is {mean}; lower the rate ({plan.rate})")
            pace = (time.time() - began) / (step - first)
            say(
                f"step {step}/{plan.steps} loss {mean:.3f} hits {hit:.3f}, {pace * 1000:.1f} ms a step, "
                f"ETA {pace * (plan.steps - step):.0f} s"
            )
            with open(work / "log.jsonl", "a", encoding="utf-8") as file:
                values = {"step": step, "loss": round(mean, 5), "hits": round(hit, 5)}
                file.write(json.dumps(values | {"rate": round(learning_rate(step - 1, plan), 7)}) + "\n")
            sums.zero_()
            since, last_log = step, time.time()
        if now - last_save > save_every or step == plan.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            save(path, {**state, "generator": generator.get_state(), "plan": asdict(plan), **taught})
            last_save = time.time()


def export(work: Path, folder: Path) -> int:
    """Write the trained model as a transformers folder in half precision; returns its parameters.

    Raises:
        ValueError: the training has not come to its end.
    """
    if not (work / "checkpoint.pt").is_file():
        raise ValueError(f"{work}: no checkpoint.pt; train first")
    state = torch.load(work / "checkpoint.pt", weights_only=True, map_location="cpu")
    if state["step"] < state["plan"]["steps"]:
        raise ValueError(f"{work}: the training ended at step {state['step']}; run it to its end first")
    model = Plan(**state["plan"]).model()
    model.load_state_dict(state["model"])
    model = model.hubert.eval().half()
    folder = folder.resolve()  # a link may lead to another file system
    part = folder.with_name(f".{folder.name}.partial")
    model.save_pretrained(part)
    # Stored in half precision, to be computed in single: what from_pretrained returns follows this entry.
    # A recogniser that was the teacher is not held out (asr.provenance).
    config = json.loads((part / "config.json").read_text())
    config |= {"dtype": "float32"} | {k: state[k] for k in ("teachers", "teacher_weights")}
    (part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (part / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "feature_extractor_type": "Wav2Vec2FeatureExtractor",
                "do_normalize": False,
                "feature_size": 1,
                "padding_side": "right",
                "padding_value": 0.0,
                "return_attention_mask": True,
                "sampling_rate": SAMPLE_RATE,
            },
            indent=2,
        )
        + "\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    for path in part.iterdir():
        os.replace(path, folder / path.name)
    part.rmdir()
    return sum(p.numel() for p in model.parameters())
