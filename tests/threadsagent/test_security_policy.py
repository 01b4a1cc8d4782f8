"""Every page says what it may load and do: what is ours, and nothing within the page itself."""

import re
from pathlib import Path

import pytest
from django.test import Client

PROJECT = Path(__file__).parents[2]
TEMPLATES = sorted(PROJECT.glob("*/templates/**/*.html"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/admin/login/", "/api/docs/", "/o/x", "/r/x", "/health/live", "/nowhere"]
)
def test_every_answer_has_the_policy(admin_client, path):
    said = admin_client.get(path).headers["Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in said.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in said


def test_the_templates_are_found():
    assert "decide.html" in {template.name for template in TEMPLATES}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_what_the_policy_forbids(template):
    html = template.read_text()
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|javascript:", html, re.I)


def test_who_is_refused_for_a_missing_token_is_told_what_to_do():
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "x"})
    assert answer.status_code == 403
    assert "Open the page again" in answer.content.decode()
