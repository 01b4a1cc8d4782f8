"""The baseline of `/r/{token}`: the view that one would write first, behind all of the middleware.

The same token, the same query, the same redirect; it stores no click at all.
"""

from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path

from dmtrigger import links
from dmtrigger.models import DirectMessage
from threadsagent import health


def redirect(request: HttpRequest, token: str) -> HttpResponseRedirect:
    """Lead on to the message's link."""
    comment_id = links.comment_of(token)
    if comment_id is None:
        raise Http404
    message = get_object_or_404(DirectMessage.objects.only("link"), comment_id=comment_id)
    return HttpResponseRedirect(links.with_parameters(message.link, {"ta": token}))


urlpatterns = [
    path("r/<str:token>", redirect),
    path("health/live", health.live),
]
