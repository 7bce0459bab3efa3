"""Train the mini HuBERT in iterations: on clusters of MFCC, of its own hidden states, of a teacher's."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from transformers import HubertModel

from espnet_posinv.files import replacing
from espnet_posinv.pretrain.labels import Teacher, cluster, hidden_states, mfcc
from espnet_posinv.pretrain.model import MaskedPrediction, draw_mask, mini_config
from espnet_posinv.pretrain.streams import Streams, crop
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import SSLEncoder
from espnet_posinv.ssl.marks import marks_of

LABEL_LAYER = 4  # of 6: its hidden states make the clusters of the second iteration
CLUSTERS = (100, 500, 500)
UNMASKED = (0.0, 0.0, 1.0)  # weight of frames that are not masked: a teacher has something to say of them too


@dataclass
class Plan:
    """What decides the result of one iteration."""

    steps: int
    batch: int = 48
    seconds: float = 8.0
    rate: float = 1e-3
    warmup: float = 0.08  # share of the steps
    seed: int = 0


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


def labels_of(
    streams: Streams,
    iteration: int,
    work: Path,
    seed: int,
    say: Callable,
    teacher: tuple[str, SSLEncoder] | None = None,
) -> torch.Tensor:
    """Clusters of every frame for `iteration` (1, 2 or 3), kept in `work`/labels<iteration>.pt."""
    path = work / f"labels{iteration}.pt"
    device = streams.audio.device
    source = _describe(*teacher) if iteration == 3 else ""
    if path.exists():
        kept = torch.load(path, weights_only=True, map_location=device)
        labels = kept["labels"]
        if len(labels) != streams.frames:
            raise ValueError(
                f"{path}: {len(labels)} frames, but the speech has {streams.frames}: made from other speech; "
                f"delete {work} or choose another folder"
            )
        if kept["teacher"] != source:
            raise ValueError(
                f"{path}: clusters of {kept['teacher']}, but the teacher is {source}; name the former, "
                f"delete {path} and iteration3.pt beside it, or choose another folder"
            )
        return labels
    began = time.time()
    if iteration == 1:
        labels, unexplained = cluster(streams, mfcc, CLUSTERS[0], seed)
    elif iteration == 2:
        model = load_iteration(work, 1, device)
        labels, unexplained = cluster(
            streams, lambda x: hidden_states(model, x, LABEL_LAYER), CLUSTERS[1], seed
        )
    else:
        labels, unexplained = cluster(streams, Teacher(teacher[1], streams), CLUSTERS[2], seed)
    say(
        f"iteration {iteration}: {labels.max() + 1} clusters, {unexplained:.2f} of the variance unexplained, "
        f"{time.time() - began:.0f} s"
    )
    save(path, {"labels": labels, "teacher": source})
    return labels


def _describe(name: str, teacher: SSLEncoder) -> str:
    """What the clusters of a teacher depend on."""
    return f"{name}, layer {teacher.layers[0]}, weights {teacher.fingerprint()[:12]}"


def load_iteration(work: Path, iteration: int, device: torch.device | str) -> HubertModel:
    """The model of a finished iteration, in eval mode."""
    state = torch.load(work / f"iteration{iteration}.pt", weights_only=True, map_location=device)
    if state["step"] < state["plan"]["steps"]:
        raise ValueError(
            f"{work}: iteration {iteration} ended at step {state['step']}; run it to its end first"
        )
    model = MaskedPrediction(mini_config(), CLUSTERS[iteration - 1]).to(device)
    model.load_state_dict(state["model"])
    return model.hubert.eval()


def train(
    streams: Streams,
    work: Path,
    iteration: int,
    plan: Plan,
    minutes: float | None = None,
    say: Callable = print,
    save_every: float = 120.0,
    teacher: tuple[str, SSLEncoder] | None = None,
) -> None:
    """Run (or go on with) one iteration; writes `work`/iteration<i>.pt and appends to `work`/log.jsonl.

    Args:
        streams: the speech, on the device to train on.
        work: folder of labels and checkpoints.
        iteration: 1, 2 or 3.
        plan: what to do; that of an unfinished checkpoint is kept.
        minutes: set `plan.steps` so that the iteration takes about this long, by timing its first steps.
        say: prints a line.
        save_every: seconds between checkpoints.
        teacher: name and encoder of the model whose clusters iteration 3 learns.

    Raises:
        ValueError: labels of other speech or of another teacher, or an iteration 3 without teacher.
        FloatingPointError: the loss is not finite.
    """
    if iteration == 3 and teacher is None:
        raise ValueError("iteration 3 learns from a teacher: name one (--teacher)")
    path = work / f"iteration{iteration}.pt"
    device = streams.audio.device
    labels = labels_of(streams, iteration, work, plan.seed, say, teacher)
    torch.manual_seed(plan.seed + iteration)
    model = MaskedPrediction(mini_config(), CLUSTERS[iteration - 1]).to(device).train()
    taught = {"teachers": [], "teacher_weights": []}
    if iteration == 3:
        weights = marks_of(teacher[1].network.state_dict().values())
        taught = {"teachers": [teacher[0]], "teacher_weights": weights}
    # The second iteration starts from fresh weights too, as in the paper: only the targets are inherited.
    # The third goes on from the second's.
    if iteration == 3 and not path.exists():
        model.hubert.load_state_dict(load_iteration(work, 2, device).state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    generator = torch.Generator(device).manual_seed(plan.seed + 10 * iteration)
    step = 0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        plan, minutes, step = Plan(**state["plan"]), None, state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"].cpu())
        say(f"iteration {iteration}: going on at step {step} of {plan.steps}")
    length = round(plan.seconds * 50) * 320
    began = last_save = last_log = time.time()
    first = step
    loss_sum = hit_sum = torch.zeros((), device=device)
    since = 0
    while step < plan.steps:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        wav, target = crop(streams, labels, plan.batch, length, generator)
        mask = draw_mask(*target.shape, generator, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, hits = model(wav, target, mask, UNMASKED[iteration - 1])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        since += 1
        loss_sum, hit_sum = loss_sum + loss.detach(), hit_sum + hits
        if minutes is not None and step == 15:
            began, first = _now(device), step  # the first steps are slow: kernels are chosen
        if minutes is not None and step == 45:
            plan.steps = max(50, round(minutes * 60 / ((_now(device) - began) / (step - first))))
            minutes = None
        now = time.time()
        if now - last_log > 10 or step == plan.steps:
            mean, hit = loss_sum.item() / since, hit_sum.item() / since
            if not math.isfinite(mean):
                raise FloatingPointError(f"iteration {iteration}, step {step}: the loss is {mean}")
            speed = (time.time() - began) / max(1, step - first)
            rate = plan.batch * plan.seconds / speed
            say(
                f"iteration {iteration} step {step}/{plan.steps} loss {mean:.3f} hits {hit:.3f}, "
                f"{rate:.0f} s of speech a second, ETA {speed * (plan.steps - step):.0f} s"
            )
            _log(
                work, iteration=iteration, step=step, loss=mean, hits=hit, rate=learning_rate(step - 1, plan)
            )
            loss_sum = hit_sum = torch.zeros((), device=device)
            since, last_log = 0, time.time()
        if now - last_save > save_every or step == plan.steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            save(
                path,
                {**state, "generator": generator.get_state(), "plan": asdict(plan), **taught},
            )
            last_save = time.time()


def export(work: Path, folder: Path, iteration: int = 3) -> int:
    """Write the model of `iteration` as a transformers folder in half precision; returns its parameters."""
    model = load_iteration(work, iteration, "cpu").half()
    state = torch.load(work / f"iteration{iteration}.pt", weights_only=True)
    folder = folder.resolve()  # a link may lead to another file system
    part = folder.with_name(f".{folder.name}.partial")
    model.save_pretrained(part)
    # Stored in half precision, to be computed in single: what from_pretrained returns follows this entry.
    # A recogniser that was the teacher is not held out (asr.provenance).
    config = json.loads((part / "config.json").read_text())
    config |= {"dtype": "float32"} | {k: state.get(k, []) for k in ("teachers", "teacher_weights")}
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


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.time()


def _log(work: Path, **values) -> None:
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in values.items()}
    with open(work / "log.jsonl", "a") as f:
        f.write(json.dumps(rounded) + "\n")
