"""What keeps Whisper from repeating itself: prompts in babble at 0 dB, and clean ones that say things twice.

    cd egs2/mini_debian
    python ../../bench/asr_loops.py --downloads downloads --model downloads/whisper-base

Four ways to decode: greedy without any limit, with a ban of repeated trigrams and 6 tokens a second + 8, with
the ban alone, and the product's. A transcript loops if it has more than twice the words of its reference and
three.
"""

import os
import time
from pathlib import Path

import numpy as np
from bench_common import make_parser

from espnet_posinv.asr.whisper import Whisper, _load
from espnet_posinv.corpora.noises import babble
from espnet_posinv.corpora.prompts import prompts
from espnet_posinv.perturb.noise import active_level
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.scoring.wer import pool, score_texts


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--downloads", required=True, type=Path, help="archives of mini_debian")
    parser.add_argument("--model", required=True, help="folder of a Whisper model")
    parser.add_argument("--utterances", type=int, default=40)
    parser.add_argument("--window", type=float, default=15)
    args = parser.parse_args(argv)

    recogniser = Whisper(args.model, window=args.window)
    network = _load(recogniser, os.getpid())

    def greedy(wav: np.ndarray, **limits) -> str:
        seconds = len(wav) / SAMPLE_RATE
        network.frames = int(100 * (args.window if seconds <= args.window - 2 else 30))
        segments, _ = network.transcribe(
            wav,
            language="en",
            beam_size=1,
            temperature=0.0,
            compression_ratio_threshold=None,  # of the product's fallback, too
            condition_on_previous_text=False,
            without_timestamps=True,
            **limits,
        )
        return " ".join(" ".join(segment.text for segment in segments).split())

    ways = {
        "greedy, no limit": greedy,
        "ban and 6 tokens a second": lambda wav: greedy(
            wav, no_repeat_ngram_size=3, max_new_tokens=int(6 * len(wav) / SAMPLE_RATE) + 8
        ),
        "ban": lambda wav: greedy(wav, no_repeat_ngram_size=3),
        "temperature fallback": recogniser.transcribe,
    }
    for name, (texts, wavs) in sets(args).items():
        words = {key: len(text.split()) for key, text in texts.items()}
        print(f"{name}: {len(texts)} utterances, {sum(words.values())} words, {Path(args.model).name}")
        for way, transcribe in ways.items():
            began = time.process_time()
            hypotheses = {key: transcribe(wav) for key, wav in wavs.items()}
            spent = time.process_time() - began
            total = pool(score_texts(texts, hypotheses))
            loops = sum(len(text.split()) > 2 * words[key] + 3 for key, text in hypotheses.items())
            low, high = total["interval95"]["low"], total["interval95"]["high"]
            print(
                f"  {way:26} WER {total['wer']:5.1f} % [{low:.1f}, {high:.1f}], "
                f"{total['S']} S {total['D']} D {total['I']} I, {loops} loops, "
                f"{spent / len(texts):.2f} processor seconds an utterance",
                flush=True,
            )


def sets(args) -> dict[str, tuple[dict[str, str], dict[str, np.ndarray]]]:
    """Prompts in babble, and triples of prompts with the second one said twice."""
    english = [p for p in prompts("en", args.downloads) if 2 <= len(p.read()) / SAMPLE_RATE <= 8 and p.text]
    order = np.random.default_rng(0).permutation(len(english))
    chosen = [english[i] for i in order[: args.utterances]]
    long = [x for p in prompts("fr", args.downloads) if len(x := p.read()) > 8 * SAMPLE_RATE]
    noise = babble(long, 60, seed=3)
    texts = {p.name: p.text for p in chosen}
    mixed = {}
    for k, p in enumerate(chosen):
        clean = p.read()
        part = np.roll(noise, -k * 7 * SAMPLE_RATE)[: len(clean)]
        scaled = part * 10 ** ((active_level(clean) - active_level(part)) / 20)
        mixed[p.name] = (clean + scaled).astype(np.float32) * 0.5
    again, wavs = {}, {}
    gap = np.zeros(SAMPLE_RATE // 4, np.float32)
    for k in range(0, args.utterances - 3, 4):
        group = [chosen[k], chosen[k + 1], chosen[k + 1], chosen[k + 2]]
        again[f"g{k}"] = " ".join(p.text for p in group)
        wavs[f"g{k}"] = np.concatenate([part for p in group for part in (p.read(), gap)]).astype(np.float32)
    return {"babble at 0 dB": (texts, mixed), "clean, one of three said twice": (again, wavs)}


if __name__ == "__main__":
    main()
