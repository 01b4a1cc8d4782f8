"""The metrics that the code declares, read off its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
APPS = ("comments", "intents", "dmtrigger", "threadsagent")
KINDS = {
    "Counter": "counter",
    "CounterMetricFamily": "counter",
    "Gauge": "gauge",
    "GaugeMetricFamily": "gauge",
    "Histogram": "histogram",
}


def declared() -> dict[str, str]:
    """The type of each metric by its name."""
    return {
        name: kind
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        for name, kind in _in_source(ast.parse(path.read_text()))
    }


def _in_source(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        kind, name = KINDS.get(node.func.id), node.args[0]
        if kind and isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, kind
