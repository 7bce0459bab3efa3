"""Write the phones of transcripts, by a lexicon of several languages and the program espeak-ng."""

from pathlib import Path


def options(parser):
    parser.add_argument("--text", required=True, help="transcripts: lines UTTERANCE TEXT")
    parser.add_argument("--utt2lang", required=True, help="lines UTTERANCE LANGUAGE, two letters")
    parser.add_argument("--lexicon", type=Path, required=True, help="lines LANGUAGE WORD PHONE PHONE ...")
    parser.add_argument("--output", required=True, help="gets lines UTTERANCE PHONE PHONE ...")


def run(args):
    from espnet_posinv.corpora.espeak import Lexicon
    from espnet_posinv.kaldi.scp import read_scp, write_scp

    lexicon, languages = Lexicon.read(args.lexicon), read_scp(args.utt2lang)
    texts = read_scp(args.text, empty_values=True)
    for language in sorted(set(languages.values())):  # one call of the program for each language
        lexicon.add((text for utt, text in texts.items() if languages[utt] == language), language)
    write_scp(args.output, {utt: lexicon.phones(text, languages[utt]) for utt, text in texts.items()})
