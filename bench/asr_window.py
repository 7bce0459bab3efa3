"""What a shorter encoder window does to Whisper: processor time and WER on one data directory.

    cd egs2/mini_debian/enh1
    python ../../../bench/asr_window.py --data data_default/test_seen --model ../downloads/whisper-base

Every utterance is recognised with each window in turn; time is the processor time of this process.
"""

import argparse
import time
from pathlib import Path

from espnet_posinv.asr.whisper import Whisper
from espnet_posinv.kaldi.audio import read_audio
from espnet_posinv.kaldi.scp import read_scp
from espnet_posinv.scoring.bootstrap import difference_interval
from espnet_posinv.scoring.wer import pool, score_texts


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder with wav.scp and text")
    parser.add_argument("--model", required=True, help="folder of a Whisper model")
    parser.add_argument(
        "--windows", type=float, nargs="+", default=[30, 15], help="the first is the baseline"
    )
    args = parser.parse_args(argv)

    scp, text = read_scp(args.data / "wav.scp"), read_scp(args.data / "text")
    recognisers = [Whisper(args.model, window=window) for window in args.windows]
    spent, hypotheses = [0.0] * len(recognisers), [{} for _ in recognisers]
    seconds = 0.0
    for k, (utterance, entry) in enumerate(scp.items()):
        wav = read_audio(entry)[0][:, 0].astype("float32")
        seconds += len(wav) / 16000
        for r, recogniser in enumerate(recognisers):
            if k == 0:
                recogniser.transcribe(wav)  # loads the model
            start = time.process_time()
            hypotheses[r][utterance] = recogniser.transcribe(wav)
            spent[r] += time.process_time() - start
    scores = [score_texts(text, hypothesis) for hypothesis in hypotheses]
    words = [score["N"] for score in scores[0].values()]
    errors = [[s["S"] + s["D"] + s["I"] for s in score.values()] for score in scores]
    print(
        f"{len(scp)} utterances, {seconds / len(scp):.1f} s each, {sum(words)} words, {Path(args.model).name}"
    )
    for r, window in enumerate(args.windows):
        difference = [100 * x for x in difference_interval(errors[r], errors[0], words)]
        print(
            f"window {window:g} s: {spent[r] / len(scp):.3f} processor seconds an utterance, "
            f"real-time factor {spent[r] / seconds:.3f}, {spent[0] / spent[r]:.2f} times as fast as "
            f"{args.windows[0]:g} s; WER {pool(scores[r])['wer']:.1f} %, difference {difference[0]:+.1f} "
            f"[{difference[1]:+.1f}, {difference[2]:+.1f}]"
        )


if __name__ == "__main__":
    main()
