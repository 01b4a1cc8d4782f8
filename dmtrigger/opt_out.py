"""The page on which who was written to says that they want no more messages: `/o/{token}`.

Whoever has the message's link may say it, without an account. Nothing happens when the page is
looked at: programs that make previews of links follow them too.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dmtrigger import links, people
from dmtrigger.models import DirectMessage, Person

CHOICES: dict[str, tuple[int | None, str]] = {
    "7": (7, "for 7 days"),
    "30": (30, "for 30 days"),
    "always": (None, "for good"),
}
"""By what the buttons send: the days (None: for good), and how that is said."""


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def opt_out(request: HttpRequest, token: str) -> HttpResponse:
    """The choices; a POST of one of them opts the message's recipient out."""
    comment_id = links.comment_of(token, links.Purpose.OPT_OUT)
    message = DirectMessage.objects.filter(comment_id=comment_id).first() if comment_id else None
    if message is None:
        return _page(request, 404, state="unknown")
    if request.method != "POST":
        return _page(request, 200, state="asked", choices=CHOICES)
    chosen = CHOICES.get(request.POST.get("for", ""))
    if chosen is None:
        return _page(request, 400, state="asked", choices=CHOICES)
    days, said = chosen
    people.opt_out(message.source, message.recipient, Person.By.LINK, days=days)
    return _page(request, 200, state="done", said=said)


def _page(request: HttpRequest, status: int, **context: object) -> HttpResponse:
    page = render(request, "dmtrigger/opt_out.html", context, status=status)
    page.headers["X-Robots-Tag"] = "noindex"
    return page
