"""Noise kinds made of real recordings, some for training and test (seen), some for the test only (unseen)."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from espnet_posinv.corpora.audio import read_audio
from espnet_posinv.corpora.fetch import unpack
from espnet_posinv.corpora.membership import sides
from espnet_posinv.corpora.prompts import Prompt
from espnet_posinv.files import file_hash, new_folder
from espnet_posinv.kaldi.parallel import parallel_map
from espnet_posinv.perturb.noise import at_level, highpass
from espnet_posinv.sample_rate import SAMPLE_RATE

# kind -> recordings; "lc" = LinCity-NG, "uf" = UFO:AI, "moh" = music on hold, "mg" = MegaGlest, "es" =
# Endless Sky, "sp" = Sonic Pi, "ff" = Fish Fillets. The recordings of a kind are brought to one level,
# because the SNR is set per segment, which may span two recordings.
_MEGAGLEST = "mg/techs/megapack"
SEEN = {
    "traffic": ("lc/TraficHigh*", "lc/TraficLow*", "lc/DirtTrack[13]*", "uf/ugv/*-move*", "uf/ugv/*-idle*"),
    "train": ("lc/RailTrain*",),
    "water": ("lc/Water*", "uf/ambience/water.ogg", "uf/ambience/water0*", "lc/ParklandLake*"),
    "fire": ("lc/Fire[123].wav", "uf/ambience/fire*", "uf/ambience/smallfire*"),
    "industry": (
        *("lc/IndustryHigh*", "lc/IndustryLight*", "lc/CoalMine*", "lc/Mill*", "lc/OreMine*", "lc/Recycle*"),
        *("lc/Tip*", "lc/PowerCoal*", "lc/Blacksmith*", "lc/MonumentConstruction*"),
    ),
    "machine": (
        *("uf/ambience/minepump03*", "uf/ambience/alien*machinery*", "uf/ambience/alien-*", "es/ambient/*"),
        *(
            "uf/ambience/engine_alien*",
            "uf/ambience/alien_engine*",
            "uf/ambience/hum*",
            "uf/ambience/machine*",
        ),
    ),
    "drone": ("uf/ambience/droning*", "uf/ambience/alienatmo*", "uf/ambience/alienwormhole*", "sp/ambi_*"),
    "birds": (
        *("mg/tilesets/autumn/sounds/sunny_day*", "mg/tilesets/birch_forest/sounds/day*", "lc/Green*"),
        *("mg/tilesets/dark_forest/sounds/day*", "mg/tilesets/fernland/sounds/day*", "lc/ParklandPlane*"),
        *("mg/tilesets/spring/sounds/day*", "mg/tilesets/mediterran/sounds/desertday*"),
    ),
    "night": (
        *("mg/tilesets/autumn/sounds/nightime*", "mg/tilesets/birch_forest/sounds/night*"),
        *("mg/tilesets/dark_forest/sounds/night*", "mg/tilesets/fernland/sounds/night*"),
        *("mg/tilesets/mediterran/sounds/night*", "mg/tilesets/desert2/sounds/night*"),
        *("uf/ambience/ufo_night*", "uf/ambience/cricket*"),
    ),
    "city": ("uf/ambience/city_abnd*", "uf/ambience/sand-city*", "lc/Residential*", "lc/Shanty*"),
    "battle": tuple(
        f"{_MEGAGLEST}/commondata/sounds/{x}*"
        for x in ("*attack", "*hit", "*fall", "anvil", "catapult", "*walk", "*_mine", "*wood", "*build")
    ),
    "explosions": ("es/*.wav",),
    "music": ("ff/music/*", "moh/*", f"{_MEGAGLEST}/factions/*/music/*"),
}
UNSEEN = {
    "fountain": ("uf/ambience/waterfontain*",),
    "crowd": ("lc/Market[FML]*", "lc/SportsCroud*"),
    "school": ("lc/School*", "lc/University*"),
    "television": ("uf/ambience/tv_news*",),
    "radio": ("uf/ambience/radiomessage*",),
    "harbour": ("lc/Harbor*",),
    "rain": ("mg/tilesets/autumn/sounds/rain*", "mg/tilesets/birch_forest/sounds/rain*"),
    "wind": ("uf/ambience/arcticwind*", "mg/tilesets/winter*/sounds/wind*", "lc/WindMill*"),
    "drums": tuple(f"sp/loop_{x}*" for x in ("amen", "breakbeat", "compus", "mika", "perc", "tabla")),
    "farm": ("lc/Farm*", "lc/OrganicFarm*", "mg/tilesets/pine_peat/sounds/mudchute_cow*"),
    "hospital": ("lc/Health*",),
    "fire_engine": ("lc/FireStation*",),
}
# Babble of training voices, few and many at once, is seen; that of held-out voices unseen.
SEEN_BABBLE, UNSEEN_BABBLE = {"babble2": 2, "babble4": 4, "babble8": 8}, "voices"
LONGEST = 120.0  # seconds used of a recording, so that no piece of music dominates
SUFFIXES = (".wav", ".ogg", ".mp3", ".flac", ".g722")
LEVEL_DB = -26.0


def recordings(downloads: Path, own: Iterable[Path] = ()) -> tuple[dict, dict]:
    """Files of each seen and of each unseen kind; duplicate files are left out.

    Raises:
        FileNotFoundError: a pattern without a matching file.
    """
    roots, known = _roots(downloads, own), set()
    tables = []
    for kinds in (SEEN, UNSEEN):
        tables.append({kind: [] for kind in kinds})
        for kind, patterns in kinds.items():
            for path in _files(roots, patterns):
                if (digest := file_hash(path)) not in known:
                    known.add(digest)
                    tables[-1][kind].append(path)
    return tables[0], tables[1]


def seen_noises(speech: list[Prompt], downloads: Path, own: Iterable[Path] = ()) -> tuple[dict, dict]:
    """Seen noises `{kind: (T,)}` for training, and, of other recordings, the same kinds for the seen test.

    Args:
        speech: of training voices, for the babble; not used as training targets.
        downloads, own: see :func:`~espnet_posinv.corpora.fetch.unpack`.
    """
    kinds = {kind: sides(paths) for kind, paths in recordings(downloads, own)[0].items()}
    train, test = (_read({kind: both[side] for kind, both in kinds.items()}) for side in (0, 1))
    parts = sides(_long(speech))
    for seed, (kind, voices) in enumerate(SEEN_BABBLE.items(), 2):
        train[kind] = babble(parts[0], 300, seed=seed, voices=voices)
        test[kind] = babble(parts[1], 60, seed=seed + 10, voices=voices)
    return train, test


def unseen_noises(speech: list[Prompt], downloads: Path, own: Iterable[Path] = ()) -> dict:
    """Noises that occur in the unseen test only: `{kind: (T,)}`; `speech` is of held-out voices."""
    noises = _read(recordings(downloads, own)[1])
    if speech:
        noises[UNSEEN_BABBLE] = babble(_long(speech), 120, seed=5, voices=6)
    return noises


def babble(utterances: list[np.ndarray], seconds: float, seed: int, voices: int = 8) -> np.ndarray:
    """Sum of `voices` streams, each of randomly ordered utterances at one level: `(seconds * 16000,)`."""
    rng = np.random.default_rng(seed)
    length = round(seconds * SAMPLE_RATE)
    levelled = [at_level(x, LEVEL_DB) for x in utterances]
    total = np.zeros(length)
    for _ in range(voices):
        stream = np.concatenate([levelled[i] for i in rng.permutation(len(levelled))])
        stream = np.resize(stream, max(len(stream), length))
        # Streams of few utterances hold the same ones: shift each by a random amount.
        total += np.roll(stream, int(rng.integers(len(stream))))[:length]
    return _prepare(total.astype(np.float32))


def _roots(downloads: Path, own: Iterable[Path]) -> dict[str, Path]:
    ufo = unpack("ufoai-sound", downloads, own)
    sounds = ufo / "sounds"
    if not sounds.is_dir():
        with new_folder(sounds) as part, zipfile.ZipFile(next(ufo.rglob("*.pk3"))) as z:
            z.extractall(part, [n for n in z.namelist() if n.startswith(("sound/ambience/", "sound/ugv/"))])
    games = "usr/share/games"
    return {
        "uf": sounds / "sound",
        "lc": next(unpack("lincity-ng-data", downloads, own).rglob("TraficHigh1.wav")).parent,
        "moh": next(unpack("asterisk-moh-opsound-g722", downloads, own).rglob("*.g722")).parent,
        "mg": unpack("megaglest-data", downloads, own) / games / "megaglest",
        "es": unpack("endless-sky-data", downloads, own) / games / "endless-sky/sounds",
        "sp": unpack("sonic-pi-samples", downloads, own) / "usr/share/sonic-pi/samples",
        "ff": unpack("fillets-ng-data", downloads, own) / games / "fillets-ng",
    }


def _files(roots: dict[str, Path], patterns: tuple[str, ...]) -> list[Path]:
    found = []
    for pattern in patterns:
        source, rest = pattern.split("/", 1)
        matches = sorted(p for p in roots[source].glob(rest) if p.suffix in SUFFIXES)
        if not matches:
            raise FileNotFoundError(
                f"{roots[source]}/{rest}: no such recording; delete the folder and run again"
            )
        found += matches
    return found


def _read(kinds: Mapping[str, Sequence[Path]]) -> dict[str, np.ndarray]:
    """The recordings of each kind, prepared, one after another."""
    paths = [path for of_kind in kinds.values() for path in of_kind]
    read = parallel_map(_recording, paths, label="reading noise")
    return {kind: np.concatenate([next(read) for _ in of_kind]) for kind, of_kind in kinds.items()}


def _long(speech: Sequence[Prompt]) -> list[np.ndarray]:
    """The prompts that are longer than a second."""
    return [x for x in parallel_map(Prompt.read, speech, label="reading speech") if len(x) > SAMPLE_RATE]


def _recording(path: Path) -> np.ndarray:
    return _prepare(read_audio(path, LONGEST))


def _prepare(x: np.ndarray) -> np.ndarray:
    """High-pass, cut out digital silence, bring to -26 dBFS over the active frames."""
    x = highpass(x)
    size = SAMPLE_RATE // 10
    x = np.pad(x, (0, -len(x) % size if len(x) < size else 0))
    frames = x[: len(x) // size * size].reshape(-1, size)
    power = (frames**2).mean(1)
    x = frames[power > power.max() * 1e-5].reshape(-1)  # 50 dB below the loudest tenth of a second
    return at_level(x, LEVEL_DB)
