"""Train a recogniser of words or phonemes: a CTC head on a frozen SSL model. Run it again to resume.

Speech recognition as in SUPERB: --head blstm, characters. Phoneme recognition: --units phones --lexicon FILE,
--head linear. Use the folder with posinv decode --backend ssl_ctc.
"""

from functools import partial
from pathlib import Path

from espnet_posinv.cli.arguments import above_zero, positive
from espnet_posinv.sample_rate import SAMPLE_RATE


def options(parser):
    parser.add_argument(
        "--upstream", required=True, help="SSL model, like transformers:facebook/hubert-base-ls960"
    )
    parser.add_argument("--layers", default="all", help="hidden states: all, or numbers like -1 or 6,9,12")
    parser.add_argument("--train-scp", required=True, help="clean speech, mono, 16 kHz")
    parser.add_argument("--train-text", required=True, help="its transcripts")
    parser.add_argument(
        "--valid-scp", required=True, help="validation speech, for the choice of the best weights"
    )
    parser.add_argument("--valid-text", required=True)
    parser.add_argument("--output-dir", required=True, type=Path, help="checkpoint, log, and the recogniser")
    parser.add_argument("--units", default="characters", choices=("characters", "pieces", "phones"))
    parser.add_argument("--vocabulary", type=int, default=0, help="number of sentencepiece pieces")
    parser.add_argument(
        "--lexicon",
        default="",
        help="pronunciations of phones: a file, g2p_en, or given: the transcripts are phones",
    )
    parser.add_argument("--language", default="en", help="rules of text normalisation")
    parser.add_argument("--head", default="blstm", choices=("linear", "blstm"))
    parser.add_argument("--hidden", type=positive, default=1024, help="cells in each direction of the BLSTM")
    parser.add_argument("--depth", type=positive, default=2, help="layers of the BLSTM")
    parser.add_argument("--dropout", type=float, default=0.2, help="before each layer of the BLSTM")
    parser.add_argument("--steps", type=positive, default=20000, help="updates")
    parser.add_argument("--rate", type=above_zero, default=1e-3, help="highest learning rate")
    parser.add_argument("--batch-seconds", type=above_zero, default=80.0, help="audio of an update")
    parser.add_argument("--eval-every", type=positive, default=1000, help="updates between validations")
    parser.add_argument(
        "--cache-gb", type=float, default=2.0, help="memory for features of the first utterances"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", action="store_true", help="keep the head's weights in half precision")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")


def run(args):
    from espnet_posinv.asr.ctc_data import read_set
    from espnet_posinv.asr.ctc_head import Recipe, load, save
    from espnet_posinv.asr.ctc_train import Plan, train
    from espnet_posinv.asr.units import learn
    from espnet_posinv.device import find_device
    from espnet_posinv.kaldi.scp import read_scp
    from espnet_posinv.ssl import load_encoder

    say = partial(print, flush=True)
    device = find_device(args.device)
    layers = _layers(args.layers)
    texts = read_scp(args.train_text, empty_values=True)
    names = read_scp(args.train_scp)
    units = learn(
        args.units,
        [texts[name] for name in names if name in texts],
        language=args.language,
        lexicon=args.lexicon,
        vocabulary=args.vocabulary,
    )
    encoder = load_encoder(args.upstream, layers=layers).to(device)
    train_set = read_set(args.train_scp, args.train_text, units, encoder, say, strict=False)
    valid_set = read_set(args.valid_scp, args.valid_text, units, encoder, say, strict=True)
    hours = sum(item.samples for item in train_set) / SAMPLE_RATE / 3600
    say(f"{len(train_set)} utterances, {hours:.2f} h; {len(units.tokens)} {units.kind}; {encoder.label}")
    head = {"kind": args.head}
    if args.head == "blstm":
        head |= {"hidden": args.hidden, "depth": args.depth, "dropout": args.dropout}
    recipe = Recipe(args.upstream, layers, head, "", "", {})
    plan = Plan(
        args.steps,
        args.rate,
        batch_seconds=args.batch_seconds,
        eval_every=args.eval_every,
        seed=args.seed,
    )
    rate = train(
        args.output_dir,
        units,
        recipe,
        encoder,
        train_set,
        valid_set,
        plan,
        gigabytes=args.cache_gb,
        say=say,
    )
    if args.half:
        recipe, units, weights = load(args.output_dir)
        save(args.output_dir, recipe, units, {name: value.half() for name, value in weights.items()})
    say(f"{args.output_dir}: {rate:.2f} % of the validation set's {units.kind} wrong")


def _layers(text: str) -> int | str | list[int]:
    """What load_encoder takes."""
    if text in ("all", "conv"):
        return text
    try:
        numbers = [int(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise ValueError(f"--layers {text!r}: all, or numbers like -1 or 6,9,12") from None
    return numbers[0] if len(numbers) == 1 else numbers
