"""Make data directories for training, validation and test from a folder of recordings and their transcripts.

Writes DEST_DIR/train, DEST_DIR/valid and DEST_DIR/test. The three share no speaker; with fewer than three
speakers, they share no utterance. A line of TRANSCRIPTS is a recording's name, without suffix, and its text.
"""


def options(parser):
    parser.add_argument("audio_dir", help="searched at any depth: wav, flac, ogg, mp3, ...")
    parser.add_argument("transcripts", help="lines: name text")
    parser.add_argument("dest_dir")
    parser.add_argument(
        "--speaker",
        default="",
        metavar="REGEX",
        help="its first group, in a recording's path, is the speaker, as ^([a-z]+)- (default: the folder)",
    )
    parser.add_argument("--valid", type=float, default=0.1, help="approximate share of the utterances")
    parser.add_argument("--test", type=float, default=0.1, help="approximate share of the utterances")
    parser.add_argument("--seed", type=int, default=0, help="of the draw of speakers for the sets")


def run(args):
    from espnet_posinv.corpora.wav_folder import wav_folder

    shares = (args.valid, args.test)
    counts = wav_folder(
        args.audio_dir, args.transcripts, args.dest_dir, speaker=args.speaker, shares=shares, seed=args.seed
    )
    for name, count in counts.items():
        print(f"{args.dest_dir}/{name}: {count} utterances")
