"""Stages of a recipe: inputs and outputs, whether a stage must run, and the stamp of a finished stage.

A recipe declares its stages in order, from shell:

    if stage 5 "fine-tuning" --key "$criterions" --reads "$init" --writes "$expdir/ssl_mse"; then
        ...
        stage_done
    fi

A stage is *done* if its stamp exists and has the same key (the options that determine its result), all its
outputs exist, and its inputs and those of its products (made_from.py) are unchanged. Otherwise it runs. A
stage refuses to read a product whose own inputs have changed since it was made. Standard library only: this
is called once per stage and must start fast.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from espnet_posinv.files import atomic_write
from espnet_posinv.recipe.contents import Contents, Fact
from espnet_posinv.recipe.made_from import differences, stale, unknown

RUN, FAIL, SKIP = 0, 1, 3


@dataclass
class Stage:
    """One declared stage: number, title, the options it depends on, files and folders read and written."""

    number: int
    title: str
    key: str = ""
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)  # what it reads, when it begins

    def missing(self):
        """Inputs that do not exist."""
        return [path for path in self.reads if not os.path.exists(path)]

    def pending(self, stamp, contents):
        """Why the stage has to run, or '' when it is done."""
        try:
            old = json.loads(stamp.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return "not done yet"
        except ValueError:
            return f"its stamp {stamp} is unreadable"
        if old["key"] != self.key:
            return f"options changed from [{old['key']}] to [{self.key}]"
        for path in self.writes:
            if not os.path.exists(path):
                return f"{path} is gone"
        if "reads" not in old:
            return "its stamp does not say what it read"
        now, seen = contents.describe(self.reads), set()
        changed = differences(old["reads"], now, gone=False)
        # Not of files that the stage changes in place: it must not change them twice.
        changed += unknown({path: fact for path, fact in now.items() if path not in self.writes})
        changed += [line for path in self.writes for line in stale(path, contents, seen, sure=False)]
        return changed[0] if changed else ""


def declared(plan):
    """Stages declared so far in this run, from the plan file (one JSON object a line)."""
    with open(plan, encoding="utf-8") as lines:
        return [Stage(**json.loads(line)) for line in lines]


def contents_of(stamps):
    """Describes files; their hashes are kept beside the stamps."""
    return Contents(Path(stamps) / "contents")


def _maker(path, earlier):
    """The stage that makes a path, as advice; '' if none does."""
    for stage in reversed(earlier):
        if any(_makes(written, path) for written in stage.writes):
            return f"stage {stage.number} ({stage.title}) makes it: add --stage {stage.number}"
    return ""


def _makes(written, path):
    """Whether a stage that writes `written` makes `path`: the same, one in it, or one in the same folder."""
    folder = os.path.dirname(written)
    beside = folder not in ("", ".") and folder == os.path.dirname(path)
    return path == written or path.startswith(written.rstrip("/") + "/") or beside


def begin(stage, plan, stamps, first, last, mode, redo):
    """Declare a stage and decide: RUN, SKIP (out of range, done, or only listing) or FAIL (input missing).

    Args:
        stage: the Stage.
        plan: path of this run's plan file, which collects the declarations.
        stamps: folder of the stamps.
        first, last: the range of stage numbers asked for.
        mode: 'run', 'list' (a line per stage) or 'dry-run' (what would run, with inputs and outputs).
        redo: run stages in range even when they are done.
    """
    earlier = declared(plan)
    inside, contents = first <= stage.number <= last, contents_of(stamps)
    if mode == "run" and inside:
        stage.facts = contents.describe(stage.reads)
    with open(plan, "a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(stage)) + "\n")
    if not inside and mode != "list":
        return SKIP
    why = stage.pending(Path(stamps) / f"stage{stage.number}.json", contents)
    if mode == "list":
        print(f"{stage.number:3d}  {stage.title:<52} {why or 'done'}", flush=True)
        return SKIP
    if mode == "dry-run":
        print(
            f"stage {stage.number}: {stage.title}: {'would run: ' + why if why else 'done, would be skipped'}"
        )
        for label, paths in (("reads", stage.reads), ("writes", stage.writes)):
            for path in paths:
                print(f"    {label:<6} {path}{'' if os.path.exists(path) else '   (not there)'}")
        return SKIP
    if not why and not redo:
        print(
            f"--- stage {stage.number}: {stage.title}: done, skipped (--redo true runs it again)", flush=True
        )
        return SKIP
    name = f"stage {stage.number} ({stage.title})"
    for path in stage.missing():
        hint = _maker(path, earlier) or "no stage makes it: check the path (one with blanks needs a link)"
        print(f"{name} needs {path}, which does not exist; {hint}", file=sys.stderr)
        return FAIL
    seen = set()
    for path in stage.reads:
        if changed := stale(path, contents, seen):
            hint = _maker(path, earlier) or "make it again"
            print(f"{name} needs {path}, which was made from something else; {hint}", file=sys.stderr)
            print(*(f"  {line}" for line in changed), sep="\n", file=sys.stderr)
            return FAIL
    print(f"=== stage {stage.number}: {stage.title} ({time.strftime('%F %T')}; {why or 'redo'})", flush=True)
    return RUN


def end(plan, stamps, number, started):
    """Check that the stage wrote what it declared, then leave its stamp; return an exit status."""
    stage = next(s for s in declared(plan) if s.number == number)
    for path in stage.writes:
        if not os.path.exists(path):
            print(f"stage {number} ({stage.title}) ended without writing {path}", file=sys.stderr)
            return FAIL
    stamp = Path(stamps) / f"stage{number}.json"
    now = time.time()
    # Files that the stage changed in place are noted as they are now.
    facts = stage.facts | contents_of(stamps).describe(set(stage.reads) & set(stage.writes))
    record = {"title": stage.title, "key": stage.key, "finished": now, "seconds": round(now - started, 1)}
    record["reads"] = facts
    with atomic_write(stamp) as file:
        file.write(json.dumps(record) + "\n")
    print(f"--- stage {number} done in {now - started:.0f} s", flush=True)
    return 0
