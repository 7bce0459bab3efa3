"""The rules of doc/architecture.md: a room imports from rooms above it only."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "espnet_posinv"
ROWS = re.findall(r"^\| (`[^|]*/`) \|", (ROOT / "doc/architecture.md").read_text(encoding="utf-8"), re.M)
ORDER = [re.findall(r"`(\w+)/`", row) for row in ROWS]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}


def imports(path: Path) -> list[tuple[int, str]]:
    """Line and room of each import of ours."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level]) if node.level else ""
            module = ".".join(x for x in (base, node.module) if x)
            names = [f"{module}.{a.name}" for a in node.names] if module == "espnet_posinv" else [module]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        found += [(node.lineno, n.split(".")[1]) for n in names if n.startswith("espnet_posinv.")]
    return found


def test_every_folder_is_a_room_of_the_page():
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    assert folders == set(RANK)


@pytest.mark.parametrize("room", sorted(RANK))
def test_imports_go_up(room):
    wrong = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for line, other in imports(path):
            if other in RANK and other != room and RANK[other] >= RANK[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {other}/")
    assert not wrong, "\n".join(wrong)


def test_rooms_below_espnet_do_not_import_it():
    wrong = []
    for room in ("softdtw", "kaldi", "ssl", "perturb", "criterions", "text", "launch"):
        for path in sorted((PACKAGE / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                module = getattr(node, "module", None) or ""
                names = [module, *(a.name for a in node.names)] if isinstance(node, ast.Import) else [module]
                if any(n.split(".")[0] in ("espnet", "espnet2") for n in names):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not wrong, "\n".join(wrong)
