"""Turn a template into the text of a message.

A template is text with `{{ author }}`, `{{ post_id }}`, `{{ link }}` and `{{ opt_out }}` in it and
knows nothing else: no expressions, so nothing that could run, fail for one author or take for ever.
What strangers wrote is only ever a value; braces in a name stay braces.
"""

import re
from typing import NamedTuple

MAX_BYTES = 1_000  # UTF-8; the limit of Instagram's private replies
LONGEST_NAME = "x" * 30  # the longest user name that Instagram and Threads allow
LONGEST_LINK = "https://" + "x" * 72  # of a short link with a long host name

VARIABLE = re.compile(r"{{\s*(\w+)\s*}}")
LEFT_OVER = re.compile(r"{{|}}|{%|%}")
MARKUP = re.compile(rf"{LEFT_OVER.pattern}|</?[a-z!][^>]*>?", re.IGNORECASE)
LINK = re.compile(r"(?:\w[\w+.-]*://|www\.)\S+", re.IGNORECASE)
BARE_LINK = re.compile(r"(?<![\w.@/-])(?:[a-z0-9-]+\.)+[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
BEHIND_A_LINK = ".,;:!?)]}>'\""


class TemplateProblem(Exception):
    """The template cannot be rendered; the text says why."""


class Values(NamedTuple):
    """What a template's variables stand for."""

    author: str
    post_id: str
    link: str
    """The short link of this message."""
    opt_out: str
    """The address at which the person can say that they want no more messages."""


def render(template: str, values: Values) -> str:
    """The message's text. Raises TemplateProblem for what is no variable, and for nothing."""
    known = values._asdict()
    if unknown := [name for name in VARIABLE.findall(template) if name not in known]:
        raise TemplateProblem(f"{unknown[0]} is no variable; there are: {', '.join(known)}")
    if left_over := LEFT_OVER.search(VARIABLE.sub("", template)):
        raise TemplateProblem(f"{left_over[0]} belongs to no variable like {{{{ author }}}}")
    text = VARIABLE.sub(lambda match: known[match[1]], template)
    if not text.strip():
        raise TemplateProblem("the message is empty")
    return text


def check_template(template: str) -> None:
    """Raise TemplateProblem if the template could fail for somebody: also for the longest name."""
    longest = Values(LONGEST_NAME, LONGEST_NAME, LONGEST_LINK, LONGEST_LINK)
    size = len(render(template, longest).encode())
    if size > MAX_BYTES:
        raise TemplateProblem(f"the message can have {size} bytes, platforms take {MAX_BYTES}")


def check_edited(edited: str, original: str) -> None:
    """Raise TemplateProblem unless a message that a person has changed is plain text with just the
    links that it had: they count the clicks, and lead where the campaign says."""
    if not edited.strip():
        raise TemplateProblem("the message is empty")
    if found := MARKUP.search(edited):
        raise TemplateProblem(f"it is plain text, in which {found[0]} stands for nothing")
    if missing := _found(LINK, original) - _found(LINK, edited):
        raise TemplateProblem(f"the link {min(missing)} must stay in it")
    links = [LINK, BARE_LINK]  # platforms make links of what looks like one
    known = set().union(*(_found(link, original) for link in links))
    if added := set().union(*(_found(link, edited) for link in links)) - known:
        raise TemplateProblem(f"{min(added)} is a link that was not in it")


def _found(link: re.Pattern[str], text: str) -> set[str]:
    return {found.rstrip(BEHIND_A_LINK) for found in link.findall(text)}
