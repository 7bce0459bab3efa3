"""Make a data directory of English dialogue of Flight of the Amazon Queen, without transcripts.

Utterances of 2 to 10 s at -26 dBFS, in an order that depends on their names alone.
"""

from pathlib import Path

from espnet_posinv.cli.arguments import add_downloads, positive


def options(parser):
    add_downloads(parser, "../downloads")
    parser.add_argument("--data", type=Path, required=True, help="the new data directory")
    parser.add_argument("--utterances", type=positive, default=240, help="how many")


def run(args):
    import soundfile

    from espnet_posinv.corpora import amazon_queen
    from espnet_posinv.corpora.fetch import unpack
    from espnet_posinv.corpora.membership import draw
    from espnet_posinv.files import new_folder
    from espnet_posinv.kaldi.scp import write_scp
    from espnet_posinv.perturb.noise import at_level, below_full_scale
    from espnet_posinv.sample_rate import SAMPLE_RATE

    root = unpack("flight-of-the-amazon-queen", args.downloads, args.archives)
    speech = amazon_queen.speech(next(root.rglob("queen.1c")))
    names = sorted((n for n, x in speech.items() if 2 <= len(x) / SAMPLE_RATE <= 10), key=draw)
    lists: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2lang": {}}
    with new_folder(args.data) as part:
        (part / "wav").mkdir()
        for name in names[: args.utterances]:
            speaker = f"en-queen_{amazon_queen.voice(name)}"
            key = f"{speaker}-{name.removesuffix('.SB')}"
            x = below_full_scale(at_level(speech[name], -26))
            soundfile.write(part / "wav" / f"{key}.wav", x, SAMPLE_RATE, subtype="PCM_16")
            lists["wav.scp"][key] = f"{args.data / 'wav' / key}.wav"
            lists["utt2spk"][key], lists["utt2lang"][key] = speaker, "en"
        for file, table in lists.items():
            write_scp(part / file, table)
    print(f"{args.data}: {len(lists['wav.scp'])} utterances")
