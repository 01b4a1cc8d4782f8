"""Shares as people, and style sheets, read them."""

from django import template

register = template.Library()


@register.filter
def percent(share: float) -> str:
    """A share of 1: `12.3 %`."""
    return f"{100 * share:.1f} %"


@register.filter
def css(number: float) -> str:
    """A number with a dot, whatever the language."""
    return f"{number:.2f}"
