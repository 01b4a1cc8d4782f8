"""Templates know four variables and nothing else; what strangers wrote is only ever a value."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmtrigger.rendering import TemplateProblem, Values, check_edited, check_template, render

VALUES = Values("ada", "p1", "https://shop.example/r/x", "https://shop.example/o/x")


def test_the_variables_are_filled_in():
    text = render("Hi {{ author }}, {{link}} ({{  post_id }}) {{ opt_out }}", VALUES)
    assert text == "Hi ada, https://shop.example/r/x (p1) https://shop.example/o/x"


@given(st.text(max_size=100, alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_name_stays_what_it_is(name):
    assert render("Hi {{ author }}!", VALUES._replace(author=name)) == f"Hi {name}!"


@pytest.mark.parametrize("name", ["{{ link }}", "{% raise %}", "{x}", "\\1", "a&b<c>", "%s"])
def test_a_name_that_looks_like_a_template_stays_a_name(name):
    assert render("{{ author }} {{ post_id }}", VALUES._replace(author=name)) == f"{name} p1"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ price }}", "price is no variable; there are: author, post_id, link, opt_out"),
        ("{{ author", "{{ belongs to no variable"),
        ("author }}", "}} belongs to no variable"),
        ("{% include 'x' %}", "{% belongs to no variable"),
        ("{{ author.name }}", "{{ belongs to no variable"),
        ("{{ 'a' * 10**11 }}", "{{ belongs to no variable"),
        ("   ", "the message is empty"),
    ],
)
def test_a_template_that_cannot_become_a_message_is_refused(template, problem):
    with pytest.raises(TemplateProblem) as error:
        render(template, VALUES)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("template", "size"),
    [("x" * 1001, 1001), ("ä" * 501, 1002), ("x" * 971 + "{{ author }}", 1001)],
)
def test_a_template_is_checked_in_bytes_and_with_the_longest_name(template, size):
    with pytest.raises(TemplateProblem, match=f"can have {size} bytes, platforms take 1000"):
        check_template(template)


def test_a_template_may_be_as_long_as_the_platform_takes():
    check_template("ä" * 500)
    check_template("x" * 970 + "{{ author }}")


# --- what an operator makes of it -------------------------------------------------------------

SENT = "Hi anna.maria: https://shop.example/r/x (automated). Stop: https://shop.example/o/x."


@pytest.mark.parametrize(
    "edited",
    [
        SENT,
        "Here: https://shop.example/r/x, automated; https://shop.example/o/x",
        "Dear anna.maria <3\nhttps://shop.example/r/x\nhttps://shop.example/o/x costs $3.50.",
    ],
)
def test_a_text_with_the_same_links_may_be_sent(edited):
    check_edited(edited, SENT)


@pytest.mark.parametrize(
    ("edited", "problem"),
    [
        ("  ", "the message is empty"),
        (SENT.replace("https://shop.example/r/x", ""), "the link https://shop.example/r/x must"),
        (SENT.replace("/r/x", "/r/y"), "the link https://shop.example/r/x must"),
        (f"{SENT} https://evil.example", "https://evil.example is a link that was not in it"),
        (f"{SENT} www.evil.example", "www.evil.example is a link that was not in it"),
        (f"{SENT} evil.example/now", "evil.example/now is a link that was not in it"),
        (f"{SENT} <b>now</b>", "it is plain text, in which <b> stands for nothing"),
        (f"{SENT} {{{{ author }}}}", "it is plain text, in which {{ stands for nothing"),
    ],
)
def test_a_text_with_other_links_or_markup_is_refused(edited, problem):
    with pytest.raises(TemplateProblem, match=re.escape(problem)):
        check_edited(edited, SENT)
