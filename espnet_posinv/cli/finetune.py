"""Fine-tune an enhancer on an SSL loss with all speech and noise in memory: minutes on a GPU.

Mixtures are made on the training device. The folder is an experiment like those of ESPnet's trainer:
config.yaml, model.pth, and train.jsonl with the loss.
"""

import json
from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import above_zero, positive


def options(parser):
    parser.add_argument("--model", type=Path, required=True, help="experiment to start from, like exp/nsnet2")
    parser.add_argument("--criterion", type=Path, required=True, help="configuration, like ssl_mse.yaml")
    parser.add_argument("--upstream", required=True, help="SSL model of the loss")
    parser.add_argument("--speech-scp", required=True, help="clean speech, mono, 16 kHz")
    parser.add_argument("--noise-scp", required=True, help="lines KIND PATH")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--steps", type=positive, default=3000, help="updates")
    parser.add_argument("--batch", type=positive, default=32, help="windows of an update")
    parser.add_argument("--seconds", type=above_zero, default=4.0, help="length of a window")
    parser.add_argument("--rate", type=above_zero, default=3e-4, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args):
    import torch

    from espnet_posinv.device import find_device
    from espnet_posinv.enh.enhancer import Enhancer, checkpoint_of
    from espnet_posinv.enh.in_memory import Mixer, Plan, finetune
    from espnet_posinv.enh.model_folder import KEY, build_criterion, holds, write_model
    from espnet_posinv.files import atomic_write, file_hash, read_yaml
    from espnet_posinv.kaldi.audio import read_mono
    from espnet_posinv.kaldi.entry import fingerprint
    from espnet_posinv.kaldi.scp import read_scp
    from espnet_posinv.perturb.random_noise import noise_files, read_noises
    from espnet_posinv.sample_rate import SAMPLE_RATE
    from espnet_posinv.ssl.fingerprint import encoder_fingerprint

    say = partial(print, flush=True)
    if args.output_dir.resolve() == args.model.resolve():
        raise ValueError(
            f"--output-dir {args.output_dir} is --model, which would be overwritten; name another"
        )
    find_device(args.device)
    values = read_yaml(args.model / "config.yaml")
    entry, criterion = build_criterion(args.criterion, upstream=args.upstream)
    plan = Plan(args.steps, args.batch, args.seconds, args.rate, seed=args.seed)
    entries, kinds = read_scp(args.speech_scp), noise_files(args.noise_scp)
    if not entries:
        raise ValueError(f"{args.speech_scp}: holds no recording; name clean speech to train on")
    inputs = {
        "model": file_hash(checkpoint_of(args.model)),
        "upstream": encoder_fingerprint(args.upstream),
        "speech": fingerprint(entries),
        "noise": fingerprint({f"{kind} {n}": path for kind in kinds for n, path in enumerate(kinds[kind])}),
    }
    values |= {
        "criterions": [],
        KEY: {"criterions": [entry]},
        "init_param": [str(args.model)],
        "resident": vars(plan) | {"snr": list(plan.snr), "level": list(plan.level), "inputs": inputs},
    }
    if holds(args.output_dir, values):
        say(f"{args.output_dir}: done already, from the same inputs with the same settings")
        return
    speech = [torch.from_numpy(read_mono(path, SAMPLE_RATE)).float() for path in entries.values()]
    noises = {kind: torch.from_numpy(x) for kind, x in read_noises(args.noise_scp).items()}
    mixer = Mixer(speech, noises, plan, args.device)
    minutes = [len(x) / SAMPLE_RATE / 60 for x in (mixer.speech, mixer.noise)]
    say("{:.0f} min of speech, {:.0f} min of noise".format(*minutes))
    model = Enhancer.from_pretrained(args.model, device=args.device).model
    lengths = torch.full((plan.batch,), mixer.length, device=args.device)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    lines = []

    def log(values):
        lines.append(json.dumps(values) + "\n")
        with atomic_write(args.output_dir / "train.jsonl") as file:
            file.writelines(lines)
        say(f"update {values['step']}/{plan.steps} loss {values['loss']:.4f}, {values['seconds']:.0f} s")

    finetune(model, lambda x: model.forward_enhance(x, lengths, {})[0][0], criterion, mixer, plan, log=log)
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    write_model(args.output_dir, values, state)
