"""The files of charts/threadsagent/files, read for the tests."""

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
