"""Every value is described, in the README too, and the schema knows it."""

import json
from typing import Any

from tests.charts.helm import CHART
from tests.charts.values_table import README, described, leaves, readme, values


def test_every_value_is_described():
    known = {path for path, _text in described()}
    for leaf in leaves(values()):
        assert any(leaf[: len(path)] == path for path in known), ".".join(leaf)


def test_the_readme_has_the_table_that_the_values_give():
    assert README.read_text() == readme(), "run: python -m tests.charts.values_table"


def test_the_schema_knows_exactly_the_values_there_are():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(part: dict[str, Any], given: dict[str, Any], *path: str) -> None:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        if "properties" not in part:
            return
        assert part["additionalProperties"] is False, path
        if given:  # `settings` and the like are empty by default
            assert part["properties"].keys() == given.keys(), path
        for name, value in given.items():
            if isinstance(value, dict):
                compare(part["properties"][name], value, *path, name)

    compare(schema, values())
