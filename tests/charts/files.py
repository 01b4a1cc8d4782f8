"""The files of charts/threadsagent/files, read for the tests."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "threadsagent" / "files"
RULES = FILES / "rules.yaml"
ALERTMANAGER = FILES / "alertmanager.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks.md"


def alerts() -> list[dict[str, Any]]:
    """The alerting rules, in their order."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def minutes(duration: str) -> int:
    """`5m` or `1h` as minutes; nothing is none."""
    found = re.fullmatch(r"(\d+)([mh])", duration)
    return int(found[1]) * (60 if found[2] == "h" else 1) if found else 0


def dashboards() -> dict[str, dict[str, Any]]:
    """The Grafana dashboards, by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in (FILES / "dashboards").iterdir()}


def panels() -> dict[str, dict[str, Any]]:
    """All panels that show figures, by dashboard and title."""
    return {
        f"{name}: {panel['title']}": panel
        for name, dashboard in sorted(dashboards().items())
        for panel in dashboard["panels"]
        if "targets" in panel
    }


def queries(panel: dict[str, Any], window: str) -> list[str]:
    """A panel's expressions as Grafana asks them, for all namespaces and one window of time."""
    expressions = (target["expr"] for target in panel["targets"])
    return [
        expression.replace("$namespace", ".*")
        .replace("$__rate_interval", window)
        .replace("$__range", window)
        for expression in expressions
    ]


def metric_names(expression: str) -> set[str]:
    """The metrics that an expression asks for, as they are named in a scrape."""
    outside = re.sub(r'\{[^}]*\}|"[^"]*"|\[[^]]*\]|\bby \([^)]*\)', "", expression)
    words = re.findall(r"[a-z_][a-z0-9_]*\b(?!\s*\()", outside)
    return set(words) - {"or", "and", "unless", "by"}
