"""Stands in for the interpreter of a recipe: what takes long writes digests of all that it reads, at once.

    ./enh.sh --python "python3 test/recipe/stand_in.py" ...

A table made so differs from another one when, and only when, something it depends on differs. Formatting,
notes and stages are the real ones.
"""

import argparse
import hashlib
import json
import os
import runpy
import sys
import wave
from pathlib import Path

from espnet_posinv.recipe.contents import Contents
from espnet_posinv.recipe.made_from import drop_stale


def digest(*things) -> str:
    """Of strings, and of the bytes of paths; of a list of audio, of ids and the audio."""
    total = hashlib.sha256()
    for thing in things:
        if isinstance(thing, Path) and thing.suffix == ".scp":
            for line in thing.read_text().splitlines():
                key, path = line.split(None, 1)
                total.update(key.encode() + Path(path).read_bytes())
        elif isinstance(thing, Path) and thing.is_dir():
            for path in sorted(p for p in thing.rglob("*") if p.is_file()):
                total.update(path.read_bytes())
        else:
            total.update(thing.read_bytes() if isinstance(thing, Path) else str(thing).encode())
    return total.hexdigest()[:16]


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def options(args, **repeated):
    """The options of a command line as text; those named are lists."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for word in dict.fromkeys(a for a in args if a.startswith("--")):
        name = word.removeprefix("--").replace("-", "_")
        many = {"action": "append"} if name in repeated else {}
        parser.add_argument(word, nargs="?", const="", default=[] if many else None, **many)
    return parser.parse_known_args(args)[0]


def train(args):
    if "--" in args:
        args = args[args.index("--") + 1 :]
    args = options(args, train_data_path_and_name_and_type=1, valid_data_path_and_name_and_type=1)
    config = Path(args.config).read_text()
    lists = args.train_data_path_and_name_and_type + args.valid_data_path_and_name_and_type
    words = config.replace("[", " ").replace("]", " ").replace("transformers:", "").split()
    files = [Path(word) for word in words if "/" in word and Path(word.lstrip("- ")).exists()]
    assert files, config
    made = digest(config, *files, *(Path(item.split(",")[0]) for item in lists))
    write(f"{args.output_dir}/config.yaml", f"separator: nsnet2\nmade: {made}\n")
    write(f"{args.output_dir}/valid.loss.best.pth", made)
    write(f"{args.output_dir}/train.log", "")


def enhance(args):
    args = options(args)
    table = dict(line.split(None, 1) for line in Path(args.key_file).read_text().splitlines())
    lines = []
    for utt, path in table.items():
        made = digest(Path(args.model_file), Path(args.train_config), Path(path), args.fs)
        wav = Path(args.output_dir).resolve() / "wavs/1" / f"{utt}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(wav), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(made.encode())
        lines.append(f"{utt} {wav}\n")
    write(f"{args.output_dir}/spk1.scp", "".join(lines))


def recognise(args):
    args = options(args, wav_scp=1, output_dir=1)
    model, *settings = args.model.split(",")
    using = [Path(model), *(Path(setting.split("=")[1]) for setting in settings), args.language]
    for scp, folder in zip(args.wav_scp, args.output_dir, strict=True):
        table = dict(line.split(None, 1) for line in Path(scp).read_text().splitlines())
        write(f"{folder}/text", "".join(f"{u} {digest(Path(w), *using)}\n" for u, w in table.items()))
        config = Path(model, "config.json")
        write(f"{folder}/decode.json", config.read_text() if config.exists() else "{}")


def score_words(args):
    args = options(args)
    using = [Path(args.ref), Path(args.hyp)]
    if lexicon := json.loads(Path(args.hyp).with_name("decode.json").read_text()).get("lexicon"):
        using.append(Path(lexicon))
    if "language" in args:  # LPS, which counts phones, is given none, and no rules
        using += [args.language, Path(args.normalizer.partition(":")[0])]
    write(args.output, digest(*using))


def score_signal(args):
    args = options(args, ref_scp=1, inf_scp=1, output=1)
    for ref, inf, output in zip(args.ref_scp, args.inf_scp, args.output, strict=True):
        write(output, digest(Path(ref), Path(inf), args.metrics))


def score_task(args):
    args = options(args)
    files = args.labels, args.utt2spk, args.wav_scp, args.clean_scp, args.model.partition(":")[2]
    write(args.output, digest(args.task, *map(Path, files)))


def probe(args):
    args = options(args)
    data = Path(args.data)
    made = digest(data / "wav.scp", data / "spk1.scp", Path(args.upstream.partition(":")[2]))
    write(f"{args.output_dir}/section.json", made)


def report(args):
    args = options(args)
    exp, data = Path(args.exp_dir), Path(args.data_dir)
    places = ("scores/*/*/[!.]*.json", "scores/lps/*/*/[!.]*.json", "tasks/*/*/[!.]*.json")
    places += ("probe/*/section.json",)
    drop_stale([path for place in places for path in exp.glob(place)], Contents())
    scores = {p.relative_to(exp): p.read_text() for place in places for p in exp.glob(place)}
    models = {p.relative_to(exp): digest(p) for p in exp.glob("*/config.yaml")}
    sets = {s: digest(*(data / s / n for n in ("text", "utt2spk"))) for s in args.test_sets.split()}
    table = {str(k): v for part in (scores, models, sets) for k, v in part.items()}
    write(args.output, f"# {args.title}\n{json.dumps(table, indent=1, sort_keys=True)}\n")
    write(args.html, args.title)


def import_model(args):
    args = options(args)
    write(f"{args.output_dir}/config.yaml", "separator: nsnet2\n")
    write(f"{args.output_dir}/model.pth", digest(Path(args.onnx)))


def pack(args):
    args = options(args)
    write(f"{args.output_dir}/config.yaml", digest(Path(args.config), Path(args.model)))


STAND_INS = {
    "espnet2.bin.launch": train,
    "espnet2.bin.enh_inference": enhance,
    "posinv decode": recognise,
    "posinv score words": score_words,
    "posinv score signal": score_signal,
    "posinv score task": score_task,
    "posinv probe": probe,
    "posinv report": report,
    "posinv import-nsnet2": import_model,
    "posinv recipe pack": pack,
    "posinv recipe choices": lambda args: None,
    "posinv recipe progress": lambda args: None,
}
LOAD_MODELS = ("--upstream", "--recogniser")  # of check_data: there are none


def main() -> None:
    args = sys.argv[1:]
    while args[:1] == ["-m"]:
        module, args = args[1], args[2:]
    name, given = module, args
    if module == "espnet_posinv":
        count = 2 if args[0] in ("data", "recipe", "score") else 1
        name, given = " ".join(["posinv", *args[:count]]), args[count:]
    with open(os.environ["STAND_IN_LOG"], "a") as log:
        log.write(f"{name}\t{' '.join(given)}\n")
    if name in STAND_INS:
        STAND_INS[name](given)
        return
    if args[:2] == ["recipe", "check-data"]:
        models = {i + j for i, word in enumerate(args) if word in LOAD_MODELS for j in (0, 1)}
        args = [word for i, word in enumerate(args) if i not in models]
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
