"""Turn a campaign's template into the text of a message.

A template is text with `{{ author }}`, `{{ post_id }}` and `{{ link }}` in it and knows nothing
else: no expressions, so nothing that could run, fail for one author or take for ever. What
strangers wrote is only ever a value; braces in a name stay braces.
"""

import re

MAX_BYTES = 1_000  # UTF-8; the limit of Instagram's private replies
LONGEST_NAME = "x" * 30  # the longest user name that Instagram and Threads allow

VARIABLE = re.compile(r"{{\s*(\w+)\s*}}")
LEFT_OVER = re.compile(r"{{|}}|{%|%}")


class TemplateProblem(Exception):
    """The template cannot be rendered; the text says why."""


def render(template: str, *, author: str, post_id: str, link: str) -> str:
    """The message's text. Raises TemplateProblem for what is no variable, and for too much."""
    values = {"author": author, "post_id": post_id, "link": link}
    if unknown := [name for name in VARIABLE.findall(template) if name not in values]:
        raise TemplateProblem(f"{unknown[0]} is no variable; there are: {', '.join(values)}")
    if left_over := LEFT_OVER.search(VARIABLE.sub("", template)):
        raise TemplateProblem(f"{left_over[0]} belongs to no variable like {{{{ author }}}}")
    text = VARIABLE.sub(lambda match: values[match[1]], template)
    size = len(text.encode())
    if not text.strip():
        raise TemplateProblem("the message is empty")
    if size > MAX_BYTES:
        raise TemplateProblem(f"the message has {size} bytes, the platform takes {MAX_BYTES}")
    return text


def check_template(template: str, *, link: str) -> None:
    """Raise TemplateProblem if the template could fail for somebody: also for the longest name."""
    render(template, author=LONGEST_NAME, post_id=LONGEST_NAME, link=link)
