"""The table of values in the chart's README, from the comments in values.yaml.

`python -m tests.charts.values_table` writes it; a test says when it is out of date.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.charts.helm import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- values -->\n", "<!-- /values -->\n"
KEY = re.compile(r"( *)([A-Za-z0-9]+):")
TEXT = re.compile(r" *# -- (.*)")


def described() -> Iterator[tuple[tuple[str, ...], str]]:
    """Every value with a comment: its path and what the comment says. One comment describes the
    next key and all that is beneath it; several keys below a parent with a comment need none."""
    path: list[str] = []
    text = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        if found := TEXT.fullmatch(line):
            text = found[1]
        elif found := KEY.match(line):
            path[len(found[1]) // 2 :] = [found[2]]
            if text:
                yield tuple(path), text
            text = ""


def leaves(values: dict[str, Any], *path: str) -> Iterator[tuple[str, ...]]:
    """The paths of all values that are no mapping, or an empty one."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, *path, name)
        else:
            yield (*path, name)


def values() -> dict[str, Any]:
    """The chart's values."""
    return dict(yaml.load((CHART / "values.yaml").read_text(), Loader=yaml.CSafeLoader))


def table() -> str:
    """The rows, as Markdown."""
    lines = ["| value | default | what it is |", "|---|---|---|"]
    everything = values()
    for path, text in described():
        value: Any = everything
        for name in path:
            value = value[name]
        default = json.dumps(value) if value not in ("", None) else '""'
        lines.append(f"| `{'.'.join(path)}` | `{default}` | {text} |")
    return "\n".join(lines) + "\n"


def readme() -> str:
    """The README with the table as it should be."""
    text = README.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    README.write_text(readme())
