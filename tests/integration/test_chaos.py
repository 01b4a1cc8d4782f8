"""A small chaos run, every part of it: `make chaos-dm` is the same at full size."""

import json
import subprocess
import sys

import pytest

from tests.integration.processes import ROOT

pytestmark = pytest.mark.integration


def test_nothing_is_lost_and_nothing_sent_twice_whatever_is_killed():
    command = [sys.executable, "-m", "tests.chaos", "--messages", "150", "--seconds", "20"]
    result = subprocess.run([*command, "--seed", "7"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("seed 7:")
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["violations"] == 0
    assert figures["approved"] == 150
    assert all(figures[f"killed_{what}"] for what in ("worker_process", "worker", "broker"))
    assert figures["killed_platform"]
    assert figures["cut_connections"]
    assert figures["faults"]
    final = ("sent", "failed", "expired", "cancelled", "suppressed")
    assert sum(figures[f"state_{state}"] for state in final) + figures["state_unknown"] == 150
    assert figures["unknown_for_operator"] == figures["state_unknown"]
