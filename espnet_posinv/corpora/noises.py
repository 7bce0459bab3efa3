"""Noise kinds built from real recordings; which are heard in training and which only in the test."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from espnet_posinv.corpora.asterisk import prompts
from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.fetch import unpack
from espnet_posinv.perturb.noise import active_level, highpass
from espnet_posinv.sample_rate import SAMPLE_RATE

# kind -> recordings; "lc" = LinCity-NG, "uf" = UFO:AI, "moh" = music on hold. The recordings of a kind are
# brought to one level, because the SNR is set per segment and a segment may span two of them.
SEEN = {
    "traffic": (
        "lc/TraficHigh*",
        "lc/TraficLow*",
        "lc/DirtTrack[13]*",
        "uf/ugv/diesel-move*",
        "uf/ugv/diesel-idle*",
    ),
    "train": ("lc/RailTrain*",),
    "water": ("lc/Water*", "uf/ambience/water.ogg", "uf/ambience/water0*"),
    "fire": ("lc/Fire[12].wav", "uf/ambience/fire*", "uf/ambience/smallfire*"),
    "industry": ("lc/IndustryHigh*", "lc/CoalMine*", "lc/Mill*", "lc/OreMine*", "lc/Recycle*", "lc/Tip*"),
    "pump": ("uf/ambience/minepump03*",),
}
UNSEEN = {
    "fountain": ("uf/ambience/waterfontain*",),
    "crowd": ("lc/MarketFull*", "lc/MarketMed*", "lc/MarketLow*", "lc/SportsCroud*", "lc/School*"),
    "television": ("uf/ambience/tv_news*",),
    "music": ("moh/*",),
    "harbour": ("lc/Harbor*",),
}
# Babble of French, Italian and Russian voices is seen; of Czech and Dutch voices unseen.
SEEN_BABBLE, UNSEEN_BABBLE = "babble", "voices"
TRAIN_SHARE = 0.7  # of each seen recording; the rest makes the seen test noise
LEVEL_DB = -26.0
VOICES = 8  # talking at once in babble


def seen_noises(downloads: Path, own: Iterable[Path] = ()) -> tuple[dict, dict]:
    """Seen noises as two disjoint parts: `{kind: (T,)}` for training and the same kinds for the seen test."""
    roots = _roots(downloads, own)
    train, test = {}, {}
    for kind, patterns in SEEN.items():
        recordings = [_prepare(read_audio(p)) for p in _files(roots, patterns)]
        train[kind] = np.concatenate([x[: int(TRAIN_SHARE * len(x))] for x in recordings])
        test[kind] = np.concatenate([x[int(TRAIN_SHARE * len(x)) :] for x in recordings])
    # Prompts longer than 8 s are no training targets (mini_debian.py), so nobody babbles with his own words.
    long = [
        x
        for language in ("fr", "it", "ru")
        for p in prompts(language, downloads, own)
        if len(x := p.read()) > 8 * SAMPLE_RATE
    ]
    cut = round(TRAIN_SHARE * len(long))
    order = np.random.default_rng(1).permutation(len(long))
    train[SEEN_BABBLE] = babble([long[i] for i in order[:cut]], 120, seed=2)
    test[SEEN_BABBLE] = babble([long[i] for i in order[cut:]], 60, seed=3)
    return train, test


def unseen_noises(downloads: Path, own: Iterable[Path] = ()) -> dict:
    """Noises that occur in the unseen test only: `{kind: (T,)}`."""
    roots = _roots(downloads, own)
    noises = {
        kind: np.concatenate([_prepare(read_audio(p)) for p in _files(roots, patterns)])
        for kind, patterns in UNSEEN.items()
    }
    talk = []
    for language in ("cs", "nl"):
        root = unpack(f"fillets-ng-data-{language}", downloads, own)
        files = sorted(root.rglob("*.ogg"))
        picked = np.random.default_rng(4).permutation(len(files))[:150]
        talk += [x for i in picked if len(x := read_audio(files[i])) > SAMPLE_RATE]
    noises[UNSEEN_BABBLE] = babble(talk, 120, seed=5)
    return noises


def babble(utterances: list[np.ndarray], seconds: float, seed: int, voices: int = VOICES) -> np.ndarray:
    """Sum of `voices` streams, each of randomly ordered utterances at one level: `(seconds * 16000,)`."""
    rng = np.random.default_rng(seed)
    length = round(seconds * SAMPLE_RATE)
    levelled = [x * 10 ** ((LEVEL_DB - active_level(x)) / 20) for x in utterances]
    total = np.zeros(length)
    for _ in range(voices):
        stream = np.concatenate([levelled[i] for i in rng.permutation(len(levelled))])
        stream = np.resize(stream, max(len(stream), length))
        # All streams of few utterances hold the same ones: a random turn sets them apart.
        total += np.roll(stream, int(rng.integers(len(stream))))[:length]
    return _prepare(total.astype(np.float32))


def _roots(downloads: Path, own: Iterable[Path]) -> dict[str, Path]:
    ufo = unpack("ufoai-sound", downloads, own)
    sounds = ufo / "sounds"
    if not sounds.is_dir():
        part = ufo / "sounds.partial"
        with zipfile.ZipFile(next(ufo.rglob("*.pk3"))) as z:
            z.extractall(part, [n for n in z.namelist() if n.startswith(("sound/ambience/", "sound/ugv/"))])
        part.rename(sounds)
    lincity = unpack("lincity-ng-data", downloads, own)
    music = unpack("asterisk-moh-opsound-g722", downloads, own)
    return {
        "uf": sounds / "sound",
        "lc": next(lincity.rglob("TraficHigh1.wav")).parent,
        "moh": next(music.rglob("*.g722")).parent,
    }


def _files(roots: dict[str, Path], patterns: tuple[str, ...]) -> list[Path]:
    found = []
    for pattern in patterns:
        source, rest = pattern.split("/", 1)
        matches = sorted(p for p in roots[source].glob(rest) if p.is_file())
        if not matches:
            raise FileNotFoundError(
                f"{roots[source]}/{rest}: no such recording; delete the folder and run again"
            )
        found += matches
    return found


def _prepare(x: np.ndarray) -> np.ndarray:
    """High-pass, cut out digital silence, bring to -26 dBFS over the active frames."""
    x = highpass(x)
    size = SAMPLE_RATE // 10
    frames = x[: len(x) // size * size].reshape(-1, size)
    power = (frames**2).mean(1)
    x = frames[power > power.max() * 1e-5].reshape(-1)  # 50 dB below the loudest tenth of a second
    return x * np.float32(10 ** ((LEVEL_DB - active_level(x)) / 20))
