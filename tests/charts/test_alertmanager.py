"""Who is told of which alert, and of which not, since its cause is told."""

import re
import subprocess

import pytest
import yaml

from tests.charts.files import ALERTMANAGER, alerts

RECEIVERS = {"critical": "pagerduty", "warning": "slack", "info": "email"}


def amtool(path: str, *arguments: str) -> str:
    """What amtool prints; it fails where it has something against the file."""
    result = subprocess.run([path, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_amtool_has_nothing_against_the_configuration(amtool_path):
    assert "3 receivers" in amtool(amtool_path, "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("name", "severity"),
    [(rule["alert"], rule["labels"]["severity"]) for rule in alerts()],
)
def test_an_alert_goes_where_its_severity_says(amtool_path, name, severity):
    test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}")
    labels = (f"alertname={name}", f"severity={severity}", "namespace=prod")
    amtool(amtool_path, *test, f"--verify.receivers={RECEIVERS[severity]}", *labels)


def test_an_alert_without_a_severity_is_told_too(amtool_path):
    test = ("config", "routes", "test", f"--config.file={ALERTMANAGER}")
    amtool(amtool_path, *test, "--verify.receivers=slack", "alertname=Watchdog")


def test_what_silences_and_what_is_silenced_are_alerts_of_ours():
    known = {rule["alert"] for rule in alerts()}
    config = yaml.safe_load(ALERTMANAGER.read_text())
    named: set[str] = set()
    for rule in config["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            if found := re.fullmatch(r'alertname=~?"(.+)"', matcher):
                named |= set(found[1].split("|"))
    assert named
    assert named <= known


def test_secrets_are_in_files_of_their_own():
    secrets = re.findall(r"(\S*(?:key|password|token|api_url)\S*):", ALERTMANAGER.read_text())
    assert secrets
    assert all(name.endswith("_file") for name in secrets)
