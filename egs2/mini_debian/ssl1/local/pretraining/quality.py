"""Compare encoders with log-mel on real speech; writes Markdown.

CER of a linear CTC layer on English prompts, ABX error across speakers, distance of noisy from clean
features, R2 of position.
"""

import hashlib
import time

import numpy as np
import torch

from espnet_posinv.asr.ctc_head import hidden_states
from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.fetch import unpack
from espnet_posinv.corpora.noises import unseen_noises
from espnet_posinv.corpora.prompts import prompts
from espnet_posinv.files import atomic_write
from espnet_posinv.perturb.noise import at_level
from espnet_posinv.probe.logmel import logmel
from espnet_posinv.probe.position import position_r2
from espnet_posinv.report.document import Table
from espnet_posinv.report.environment import environment
from espnet_posinv.report.markdown import markdown
from espnet_posinv.sample_rate import SAMPLE_RATE
from espnet_posinv.ssl import load_encoder
from espnet_posinv.text.normalize import spell
from pretraining import measures as q

SNRS = (20, 15, 10, 5, 0, -5)


def measure(args) -> None:
    """Print the table, and write it to ``args.output``."""
    if not args.upstream:
        raise ValueError("name what is to be measured: --upstream NAME=UPSTREAM")
    began = time.time()

    def say(text: str) -> None:
        print(f"{time.time() - began:5.0f} s  {text}", flush=True)

    table = tabulate(args, say)
    where = environment()
    head = ", ".join(f"{name} {where[name]}" for name in ("date", "espnet_posinv", "torch", "transformers"))
    table = f"{head}; seed 0, {' '.join(args.upstream)}\n\n{table}"
    print(table)
    if args.output:
        with atomic_write(args.output) as file:
            file.write(table)


def feature_table(encoders: dict) -> q.Features:
    """Function from samples to `{name: (N, D)}` of all baselines and all layers of all encoders."""

    def features(x: np.ndarray) -> dict[str, torch.Tensor]:
        mel = logmel(x)
        table = {"log-mel": mel, "log-mel, 7 frames": q.with_context(mel)}
        for name, encoder in encoders.items():
            for i, state in enumerate(hidden_states(encoder, torch.from_numpy(x)[None])[0][0].unbind(1)):
                table[f"{name} layer {i}"] = state
        return table

    return features


def sentences(args) -> tuple[list, list]:
    """English `(samples, letters)` of 1 to 13 s, 60 % to train the CTC layer; no text is in both."""
    train, test = [], []
    for p in prompts("en", args.downloads, args.archives)[: args.utterances]:
        text = "".join(c for c in spell(p.text) if c in q.ALPHABET).strip()
        x = p.read()
        if text and 1 <= len(x) / SAMPLE_RATE <= 13:
            in_train = hashlib.sha256(text.encode()).digest()[0] < 0.6 * 256
            (train if in_train else test).append((at_level(x, -26), text))
    return train, test


def spoken_words(args) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Same-text words of several speakers: `{group: {speaker: {word: samples}}}`.

    "letters": names of letters in English, Spanish, French and Italian, by Asterisk's speaker and KLettres'
    (unseen in the mini HuBERT's training); "spelling words": alpha, bravo, ... by Asterisk's speakers.
    """
    groups: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    letters = unpack("klettres-data", args.downloads, args.archives) / "usr/share/klettres"
    for language in ("en", "es", "fr", "it"):
        said = {p.name: p for p in prompts(language, args.downloads, args.archives)}
        group = groups.setdefault(f"letters {language}", {})
        alphabet = [c for c in "abcdefghijklmnopqrstuvwxyz" if (language, c) != ("en", "z")]  # zee and zed
        group["asterisk"] = {c: said[f"letters/{c}"].read() for c in alphabet if f"letters/{c}" in said}
        for folder in [language, *(["en_GB"] if language == "en" else [])]:
            files = {}
            for c in alphabet:
                numbered = f"a-{ord(c) - ord('a')}.ogg"
                for name in (f"{c}.ogg", f"{c.upper()}.ogg", *([numbered] if language == "fr" else [])):
                    if (letters / folder / "alpha" / name).is_file():
                        files[c] = read_audio(letters / folder / "alpha" / name)
            group[f"klettres-{folder}"] = files
        spelling = groups.setdefault("spelling words", {})
        if language != "es":  # the speaker of en
            spelling[language] = {
                p.text.lower().strip("."): p.read() for n, p in said.items() if n.startswith("phonetic/")
            }
    return groups


def trimmed(x: np.ndarray) -> np.ndarray:
    """`x` at -26 dBFS without the silence at both ends, so that pauses do not count."""
    x = at_level(x, -26)
    loud = np.flatnonzero(np.abs(x) > 0.02)
    return x[max(0, loud[0] - 400) : loud[-1] + 800]


def tabulate(args, say) -> str:
    """All measures as a Markdown table."""
    encoders = {}
    for item in args.upstream:
        name, _, upstream = item.partition("=")
        encoders[name] = load_encoder(upstream, layers="all")
    features = feature_table(encoders)
    columns: dict[str, dict[str, str]] = {}
    train, test = ([(features(x), text) for x, text in part] for part in sentences(args))
    names = list(test[0][0])
    say(f"CER: {len(train)} sentences to train, {len(test)} to test")
    columns["CER %"] = {
        n: f"{100 * q.ctc_cer([(f[n], t) for f, t in train], [(f[n], t) for f, t in test]):.1f}"
        for n in names
    }
    errors: dict[str, dict[str, list[tuple[float, int]]]] = {}
    for group, speakers in spoken_words(args).items():
        table = {s: {w: features(trimmed(x)) for w, x in words.items()} for s, words in speakers.items()}
        kind = group.split(" ")[0]
        for n in names:
            found = q.abx_error({s: {w: f[n] for w, f in words.items()} for s, words in table.items()})
            errors.setdefault(f"ABX % {kind}", {}).setdefault(n, []).append(found)
        say(f"ABX: {group}, {found[1]} triples")
    for kind, by_name in errors.items():
        columns[kind] = {
            n: f"{100 * sum(e * c for e, c in found) / sum(c for _, c in found):.1f}"
            for n, found in by_name.items()
        }
    noises = list(unseen_noises([], args.downloads, args.archives).values())
    long = [x for x, _ in sentences(args)[1] if len(x) > 2 * SAMPLE_RATE][:24]
    distances = q.noise_distances(features, long, noises, SNRS)
    for i, snr in enumerate(SNRS):
        columns[f"{snr} dB"] = {n: f"{distances[n][i]:.2f}" for n in names}
    crops = [
        x[: 4 * SAMPLE_RATE]
        for x, _ in (*sentences(args)[0], *sentences(args)[1])
        if len(x) > 4 * SAMPLE_RATE
    ]
    tables = [features(x) for x in crops]
    half = len(tables) // 2
    columns["position R2"] = {
        n: f"{position_r2([t[n] for t in tables[:half]], [t[n] for t in tables[half:]]):.2f}" for n in names
    }
    say(f"position: {len(crops)} utterances of 4 s")
    rows = [[name, *(column[name] for column in columns.values())] for name in names]
    return markdown(Table(["features", *columns], rows)) + "\n"
