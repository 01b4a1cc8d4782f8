"""Templates render in a sandbox; what strangers wrote is never template source."""

import pytest

from dmtrigger.rendering import TemplateProblem, check_template, render

VALUES = {"author": "ada", "post_id": "p1", "link": "https://shop.example"}


def test_the_variables_are_filled_in():
    text = render("Hi {{ author }}, {{ link }} ({{ post_id }})", **VALUES)
    assert text == "Hi ada, https://shop.example (p1)"


def test_a_name_that_looks_like_a_template_stays_a_name():
    text = render("Hi {{ author }}", **VALUES | {"author": "{{ link }}{% raise %}"})
    assert text == "Hi {{ link }}{% raise %}"


def test_nothing_is_escaped_for_html():
    assert render("{{ author }}", **VALUES | {"author": "a&b<c>"}) == "a&b<c>"


@pytest.mark.parametrize(
    "template",
    [
        "{{ price }}",
        "{{ author",
        "{% include 'x' %}",
        "{{ author.__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{{ author + 1 }}",
        "{{ range(10**9) | list }}",
        "   ",
        "x" * 1001,
        "ä" * 501,
    ],
)
def test_a_template_that_cannot_become_a_message_is_refused(template):
    with pytest.raises(TemplateProblem):
        render(template, **VALUES)


def test_the_limit_is_in_bytes():
    assert render("ä" * 500, **VALUES)


def test_a_template_is_checked_with_the_longest_name():
    template = "x" * 980 + "{{ author }}"
    assert render(template, **VALUES)
    with pytest.raises(TemplateProblem, match="1010 bytes"):
        check_template(template, link="https://shop.example")
