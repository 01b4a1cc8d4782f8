"""The Grafana dashboards as files: what Grafana would stumble over, and what people would."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.charts.files import alerts, dashboards, metric_names, panels, queries


@pytest.mark.parametrize("name", dashboards())
def test_ids_are_unique(name):
    ids = [panel["id"] for panel in dashboards()[name]["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in dashboards()[name]["panels"]:
        letters = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


def test_dashboards_and_panels_have_names_of_their_own():
    every = dashboards().values()
    assert len({each["uid"] for each in every}) == len({each["title"] for each in every}) == 2
    for each in every:
        titles = [panel["title"] for panel in each["panels"] if panel["type"] != "text"]
        assert len(set(titles)) == len(titles)
        assert all(titles)


@pytest.mark.parametrize("name", dashboards())
def test_no_panel_lies_upon_another_or_beyond_the_edge(name):
    taken: set[tuple[int, int]] = set()
    for panel in dashboards()[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies upon another"
        taken |= cells


def test_a_panel_has_its_data_source_unit_and_legend_from_the_file():
    for title, panel in panels().items():
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert all(target["legendFormat"] for target in panel["targets"]), title


def test_prometheus_understands_each_expression(promtool_path, tmp_path):
    every = [query for panel in panels().values() for query in queries(panel, "5m")]
    rules = [{"record": f"panel:{i}", "expr": query} for i, query in enumerate(every)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    result = subprocess.run(
        [promtool_path, "check", "rules", str(file)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_expression_keeps_to_the_chosen_namespace():
    for title, panel in panels().items():
        for target in panel["targets"]:
            names = metric_names(target["expr"])
            chosen = target["expr"].count('namespace=~"$namespace"')
            assert names, title
            assert chosen >= len(names), title


def test_the_alerts_that_panels_name_are_there():
    named = {name for panel in panels().values() for name in alerts_of(panel)}
    assert len(named) > 20
    assert named <= {rule["alert"] for rule in alerts()}


def test_a_panel_draws_its_line_where_its_alert_fires():
    for title, panel in panels().items():
        thresholds = panel["fieldConfig"]["defaults"].get("thresholds")
        if thresholds and panel["type"] == "timeseries":
            [name] = alerts_of(panel)
            expressions = " ".join(rule["expr"] for rule in alerts() if rule["alert"] == name)
            limits = {float(limit) for limit in re.findall(r"[<>] ([0-9.]+)", expressions)}
            [line] = (step["value"] for step in thresholds["steps"][1:])
            assert line in limits, title


def alerts_of(panel: dict[str, Any]) -> list[str]:
    """The alerts that a panel's description names."""
    named = re.search(r"Alerts?: ([A-Za-z, ]+)", panel.get("description", ""))
    return re.findall(r"\b[A-Z]\w+", named[1]) if named else []
