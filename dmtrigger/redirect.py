"""`/r/{token}`: where a message's short link leads the buyer. Counted, and led on at once.

Answered by a middleware right behind Django's SecurityMiddleware (so https and HSTS are as for
every page): a click needs no session, no user and no URL table, and these take longer than it.
Where it leads is on the message's row and nowhere else, so there is no open redirect.
"""

import logging
from collections.abc import Callable
from threading import Lock

from cachetools import TTLCache
from csp.utils import build_policy
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.utils.encoding import iri_to_uri

from dmtrigger import clicks, links

logger = logging.getLogger(__name__)

PREFIX = "/r/"
PARAMETER = "ta"  # by which the shop's page knows the message, and can name it in a conversion
SCHEMES = ("https://", "http://")
PURPOSES = ("HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
LOOKING_AHEAD = ("prefetch", "preview", "prerender")
REMEMBERED = 10_000  # links of a process, some 6 MB
REMEMBERED_SECONDS = (
    60  # a message that was erased, or taken back and made anew, is looked at again
)
SELECT = "SELECT id, link FROM dmtrigger_directmessage WHERE comment_id = %s"

Target = tuple[int, str]
"""A message's id, and the address its link leads to."""

_targets: TTLCache[str, Target] = TTLCache(REMEMBERED, REMEMBERED_SECONDS)
_lock = Lock()


def answer_links(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """The middleware: answers `/r/…`, and leaves every other path to the rest."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PREFIX):
            return answer(request)
        return get_response(request)

    return middleware


def answer(request: HttpRequest) -> HttpResponse:
    """A 302 to the link's target; a page for people where there is none, or none can be told."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    token = request.path_info.removeprefix(PREFIX)
    try:
        target = _target(token)
    except DatabaseError:
        logger.exception("a link cannot be looked up")
        return _page("away.html", 503)
    if target is None:
        return _page("unknown.html", 404)
    message_id, address = target
    if request.method == "GET" and not _looks_ahead(request):
        clicks.note(message_id, request.META.get("HTTP_USER_AGENT", ""))
    # Not Django's HttpResponseRedirect, which refuses addresses that are long once encoded.
    return _private(HttpResponse(status=302, headers={"Location": address}))


def forget() -> None:
    """Empty the process's memory of links."""
    with _lock:
        _targets.clear()


def _target(token: str) -> Target | None:
    """None for a token that we have not made, and for one of a message that is no more."""
    with _lock:
        known = _targets.get(token)
    if known is not None:
        return known
    comment_id = links.comment_of(token)
    if comment_id is None:
        return None
    found = _row(comment_id)
    if found is None or not found[1].startswith(SCHEMES):
        return None
    target = (found[0], iri_to_uri(_naming(found[1], token)))
    with _lock:
        _targets[token] = target
    return target


def _naming(link: str, token: str) -> str:
    """The link with the token as a parameter, and everything else in it as it was."""
    address, mark, fragment = link.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{PARAMETER}={token}{mark}{fragment}"


def _row(comment_id: int) -> Target | None:
    """The message's id and its link as they are stored.

    Django asks an idle connection first whether it still works, which would take as long as the
    query. Here it is asked at once, and again over a new connection if the old one was dead.
    """
    connection.health_check_done = True  # type: ignore[attr-defined]  # the stubs lack it
    try:
        return _select(comment_id)
    except (InterfaceError, OperationalError):
        connection.close()
        return _select(comment_id)


def _select(comment_id: int) -> Target | None:
    with connection.cursor() as cursor:  # the ORM would take longer than PostgreSQL
        cursor.execute(SELECT, [comment_id])
        row: Target | None = cursor.fetchone()
        return row


def _looks_ahead(request: HttpRequest) -> bool:
    """Whether a program fetches the page before anybody has asked for it."""
    said = " ".join(request.META.get(name, "") for name in PURPOSES).lower()
    return any(word in said for word in LOOKING_AHEAD)


def _page(name: str, status: int) -> HttpResponse:
    response = HttpResponse(render_to_string(f"dmtrigger/links/{name}"), status=status)
    response["Content-Security-Policy"] = build_policy()  # whose middleware comes later too
    return _private(response)


def _private(response: HttpResponse) -> HttpResponse:
    """Every visit comes to us, and the next page is not told whose link it was."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    response["Content-Length"] = str(len(response.content))  # CommonMiddleware's, which comes later
    return response
