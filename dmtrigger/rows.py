"""Where the rows of a figure are: addresses of the admin's lists."""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from comments.partitions import id_at
from dmtrigger.funnel import Period
from dmtrigger.states import State


class Link(NamedTuple):
    """A figure or a sentence, and where its rows are; an empty address: not for this user."""

    text: str
    url: str = ""


def rows(page: str, **parameters: str) -> str:
    """A list of the admin: `rows("intents_review", status="all")`."""
    address = reverse(f"admin:{page}_changelist")
    return f"{address}?{urlencode(parameters)}" if parameters else address


class RowsOf:
    """The lists, narrowed to the comments that came in during a period."""

    def __init__(self, period: Period) -> None:
        self.period = period

    def comments(self, **more: str) -> str:
        return self._rows("comments_comment", "id", **more)

    def reviews(self, **more: str) -> str:
        return self._rows("intents_review", "intent", **({"status": "all"} | more))

    def messages(self, *states: State) -> str:
        return self._rows("dmtrigger_directmessage", "comment_id", state__in=",".join(states))

    def sent(self) -> str:
        return self.messages(State.SENT)

    def clicks(self) -> str:
        """By people."""
        return self._rows("dmtrigger_click", "message__comment_id", is_bot__exact="0")

    def sales(self) -> str:
        sent = {"message__state__exact": State.SENT.value}
        return self._rows("dmtrigger_conversion", "message__comment_id", **sent)

    def funnel(self) -> str:
        """The funnel's page, which knows whole days only."""
        last = self.period.until - timedelta(seconds=1)
        days = {"since": f"{self.period.since:%Y-%m-%d}", "until": f"{last:%Y-%m-%d}"}
        return f"{reverse('admin:dmtrigger_funnel')}?{urlencode(days)}"

    def _rows(self, page: str, field: str, **more: str) -> str:
        """`field` holds the comment's id; each of these lists has the filter `CameIn` on it."""
        bounds = {
            f"{field}__gte": str(id_at(self.period.since)),
            f"{field}__lt": str(id_at(self.period.until)),
        }
        return rows(page, **more, **bounds)
