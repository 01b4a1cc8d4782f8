"""Turn a campaign's template into the text of a message.

What strangers wrote (an author's name, a post's id) is only ever a value, never template source,
and the template itself runs in Jinja2's sandbox.
"""

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_BYTES = 1_000  # UTF-8; the limit of Instagram's private replies
LONGEST_NAME = "x" * 30  # the longest user name that Instagram and Threads allow

# plain text: nothing is escaped for HTML
_environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


class TemplateProblem(Exception):
    """The template cannot be rendered; the text says why."""


def render(template: str, *, author: str, post_id: str, link: str) -> str:
    """The message's text. Raises TemplateProblem for an unknown variable, an error or too much."""
    try:
        text = _environment.from_string(template).render(author=author, post_id=post_id, link=link)
    except (TemplateError, ArithmeticError, TypeError, ValueError, AttributeError) as error:
        raise TemplateProblem(f"the template does not render: {error}") from error
    size = len(text.encode())
    if not text.strip():
        raise TemplateProblem("the message is empty")
    if size > MAX_BYTES:
        raise TemplateProblem(f"the message has {size} bytes, the platform takes {MAX_BYTES}")
    return text


def check_template(template: str, *, link: str) -> None:
    """Raise TemplateProblem if the template could fail for somebody: also for the longest name."""
    render(template, author=LONGEST_NAME, post_id=LONGEST_NAME, link=link)
