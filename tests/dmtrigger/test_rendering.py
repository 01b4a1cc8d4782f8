"""Templates know three variables and nothing else; what strangers wrote is only ever a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmtrigger.rendering import TemplateProblem, check_template, render

VALUES = {"author": "ada", "post_id": "p1", "link": "https://shop.example"}


def test_the_variables_are_filled_in():
    text = render("Hi {{ author }}, {{link}} ({{  post_id }})", **VALUES)
    assert text == "Hi ada, https://shop.example (p1)"


@given(st.text(max_size=100, alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_name_stays_what_it_is(name):
    assert render("Hi {{ author }}!", **VALUES | {"author": name}) == f"Hi {name}!"


@pytest.mark.parametrize("name", ["{{ link }}", "{% raise %}", "{x}", "\\1", "a&b<c>", "%s"])
def test_a_name_that_looks_like_a_template_stays_a_name(name):
    assert render("{{ author }} {{ post_id }}", **VALUES | {"author": name}) == f"{name} p1"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ price }}", "price is no variable; there are: author, post_id, link"),
        ("{{ author", "{{ belongs to no variable"),
        ("author }}", "}} belongs to no variable"),
        ("{% include 'x' %}", "{% belongs to no variable"),
        ("{{ author.name }}", "{{ belongs to no variable"),
        ("{{ 'a' * 10**11 }}", "{{ belongs to no variable"),
        ("   ", "the message is empty"),
        ("x" * 1001, "the message has 1001 bytes, the platform takes 1000"),
        ("ä" * 501, "the message has 1002 bytes"),
    ],
)
def test_a_template_that_cannot_become_a_message_is_refused(template, problem):
    with pytest.raises(TemplateProblem) as error:
        render(template, **VALUES)
    assert str(error.value).startswith(problem)


def test_the_limit_is_in_bytes():
    assert render("ä" * 500, **VALUES)


def test_a_template_is_checked_with_the_longest_name():
    template = "x" * 980 + "{{ author }}"
    assert render(template, **VALUES)
    with pytest.raises(TemplateProblem, match="1010 bytes"):
        check_template(template, link="https://shop.example")
