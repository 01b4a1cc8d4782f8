"""Which environment variables the code reads, found by reading the code."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

PACKAGES = ("threadsagent", "comments", "intents", "dmtrigger")
OWN_READERS = ("whole_number", "signing_secret")  # settings.py


@functools.cache
def read_by_the_code() -> set[str]:
    """Every name that `env.…("NAME")`, `os.environ`, or a reader of ours is asked for."""
    return {
        name
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        # `make run` is no part of what is deployed.
        if ROOT / "threadsagent" / "run" not in path.parents
        for name in _names(path)
    }


def _names(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        asked = _asked(node)
        if isinstance(asked, ast.Name):
            asked = ast.Constant(constants.get(asked.id))
        if isinstance(asked, ast.Constant) and str(asked.value).isupper():
            yield str(asked.value)


def _asked(node: ast.AST) -> ast.expr | None:
    """The expression that names the variable which is read here, if one is."""
    if isinstance(node, ast.Call) and node.args and _reads(node.func):
        return node.args[0]
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        return node.slice
    if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "os.environ":
        return node.left
    return None


def _reads(function: ast.expr) -> bool:
    called = ast.unparse(function)
    return called in (*OWN_READERS, "os.environ.get", "os.getenv") or called.startswith("env.")
