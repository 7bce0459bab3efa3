"""Make a data directory of English dialogue of Flight of the Amazon Queen, without transcripts.

Utterances of 2 to 10 s at -26 dBFS, in an order that depends on their names alone.
"""

from pathlib import Path


def options(parser):
    parser.add_argument("--downloads", type=Path, default=Path("../downloads"), help="keeps archives")
    parser.add_argument(
        "--archives", type=Path, action="append", default=[], help="own folder, searched first"
    )
    parser.add_argument("--data", type=Path, required=True, help="data directory to be made")
    parser.add_argument("--utterances", type=int, default=240, help="how many")


def run(args):
    import numpy as np
    import soundfile

    from espnet_posinv.corpora import amazon_queen
    from espnet_posinv.corpora.fetch import unpack
    from espnet_posinv.corpora.membership import draw
    from espnet_posinv.files import new_folder
    from espnet_posinv.perturb.noise import active_level
    from espnet_posinv.sample_rate import SAMPLE_RATE

    root = unpack("flight-of-the-amazon-queen", args.downloads, args.archives)
    speech = amazon_queen.speech(next(root.rglob("queen.1c")))
    names = sorted((n for n, x in speech.items() if 2 <= len(x) / SAMPLE_RATE <= 10), key=draw)
    lines = {"wav.scp": [], "utt2spk": [], "utt2lang": []}
    with new_folder(args.data) as part:
        (part / "wav").mkdir()
        for name in names[: args.utterances]:
            speaker = f"en-queen_{amazon_queen.voice(name)}"
            key = f"{speaker}-{name.removesuffix('.SB')}"
            x = speech[name] * np.float32(10 ** ((-26 - active_level(speech[name])) / 20))
            x = x * np.float32(min(1.0, 0.99 / np.abs(x).max()))
            soundfile.write(part / "wav" / f"{key}.wav", x, SAMPLE_RATE, subtype="PCM_16")
            lines["wav.scp"].append(f"{key} {args.data / 'wav' / key}.wav")
            lines["utt2spk"].append(f"{key} {speaker}")
            lines["utt2lang"].append(f"{key} en")
        for file, rows in lines.items():
            (part / file).write_text("\n".join(sorted(rows)) + "\n", encoding="utf-8")
    print(f"{args.data}: {len(lines['wav.scp'])} utterances")
