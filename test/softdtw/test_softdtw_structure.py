"""What keeps the code readable: imports go one way, and no call has a long row of arguments."""

import ast
from pathlib import Path

from espnet_posinv import softdtw

ROOT = Path(softdtw.__path__[0])
PACKAGE = "espnet_posinv.softdtw"


def trees():
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        yield path, module, ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_imports_itself_by_way_of_another():
    """Imports inside of functions count, but for those of `backends`, which asks a backend when needed."""
    modules = {module: tree for _, module, tree in trees()}
    imported = {}
    for module, tree in modules.items():
        nodes = tree.body if module == f"{PACKAGE}.backends" else ast.walk(tree)
        found = [(n.module, a.name) for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names]
        imported[module] = {
            name
            for pair in found
            for name in (".".join(pair), pair[0])
            if name in modules and name != PACKAGE
        }

    def reached(module, way=()):
        assert module not in way, f"a circle: {' -> '.join((*way, module))}"
        for name in imported[module] - {module}:
            reached(name, (*way, module))

    for module in modules:
        reached(module)


def test_no_call_has_eight_positional_arguments():
    """But for what knows no structures: launches of kernels (Triton's are kernel[grid](...)), signatures."""
    launches = {"types.void", "driver.cuLaunchKernel"}
    for path, _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and not isinstance(node.func, ast.Subscript):
                name = ast.unparse(node.func)
                assert len(node.args) < 8 or name in launches, f"{path}:{node.lineno}: {name}"
