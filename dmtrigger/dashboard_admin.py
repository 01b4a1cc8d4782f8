"""The console's first page: the dashboard's figures in words and pictures, each with a link to its
rows. Everybody is told what they have the right to see, and nothing of the rest."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma, naturaltime
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from comments.scope import scope_of
from dmtrigger import dashboard
from dmtrigger.attribution_admin import Bar, bars
from dmtrigger.charts import Chart, chart, name_of
from dmtrigger.dashboard import SPANS, Figures, Health, Ranking, Span, Waiting, What
from dmtrigger.funnel import Period
from dmtrigger.rows import Link, RowsOf, rows
from dmtrigger.states import CLAIMABLE, State
from intents.experiments import MIN_DECISIONS, Estimate

TOO_LONG = timedelta(minutes=1)  # for a comment to wait until it is analysed
NONE_WAITS = Waiting(0, None)

COMMENT, REVIEW = "comments.view_comment", "intents.view_review"
MESSAGE, CLICK = "dmtrigger.view_directmessage", "dmtrigger.view_click"
CONVERSION, ACCOUNT = "dmtrigger.view_conversion", "dmtrigger.view_account"
MODEL = "intents.view_modelversion"
OF_A_PERIOD = (COMMENT, REVIEW, MESSAGE, CLICK, CONVERSION, MODEL)
"""Who has one of these rights is told something of a period."""
MAY_KNOW = {
    What.COMMENTS: COMMENT,
    What.REVIEWS: REVIEW,
    What.CLOSING: REVIEW,
    What.UNKNOWN: MESSAGE,
    What.PARKED: "intents.view_analysisfailure",
    What.OFF: "dmtrigger.view_webhookendpoint",
}
"""The right that it takes to be told what waits."""


@dataclass
class Page:
    """What the parts of the page are made from."""

    may: Callable[[str], bool]
    span: Span
    waiting: dict[What, Waiting]
    found: Figures

    def __post_init__(self) -> None:
        self.total = self.found.total
        self.rows_of = RowsOf(self.found.period)

    def link(self, number: int | None, right: str, url: str) -> Link:
        """A figure that leads to its rows, for who may see them."""
        return Link(_number(number), url if self.may(right) else "")


def context(request: HttpRequest) -> dict[str, Any]:
    """What the page shows, of the period that the address names (`?period=7d`)."""
    may, scope = request.user.has_perm, scope_of(request.user)
    waiting = dashboard.waiting([what for what, right in MAY_KNOW.items() if may(right)], scope)
    accounts = dashboard.health(scope) if may(ACCOUNT) else []
    shown: dict[str, Any] = {
        "alerts": [*_alerts(waiting), *(_pause(each) for each in accounts if each.is_paused)],
        "accounts": [_account(each, may) for each in accounts],
    }
    if any(map(may, OF_A_PERIOD)):
        span = SPANS.get(request.GET.get("period", ""), SPANS["24h"])
        shown |= _of_a_period(Page(may, span, waiting, dashboard.figures(span, scope)))
    return shown


def _of_a_period(page: Page) -> dict[str, Any]:
    return {
        "span": page.span,
        "spans": SPANS.values(),
        "counted_at": page.found.at,
        "tiles": [tile(page) for right, tile in TILES if page.may(right)],
        "series": _series(page),
        "table": _table(page),
        "funnel": _funnel(page) if page.may(MESSAGE) else None,
        "precision": _precision(page) if page.may(REVIEW) or page.may(MODEL) else None,
        "rankings": _rankings(page),
        "ranked_since": page.found.ranked.since,
        "is_ranked_in_part": page.found.ranked != page.found.period,
    }


# --- what needs somebody ----------------------------------------------------------------------


def _alerts(waiting: dict[What, Waiting]) -> Iterator[Link]:
    """What somebody has to see to, each with the page where that is done."""
    for what, (one, several, page, narrowed) in ALERTS.items():
        number = waiting.get(what, NONE_WAITS).number
        if number:
            words = f"{_number(number)} {one if number == 1 else several}"
            yield Link(words, rows(page, **narrowed))
    queue = waiting.get(What.COMMENTS, NONE_WAITS)
    if queue.since is not None and timezone.now() - queue.since > TOO_LONG:
        yield _queue(queue)


ALERTS = {
    What.UNKNOWN: (
        "message may have been delivered or not: look, and settle it",
        "messages may have been delivered or not: look, and settle them",
        "dmtrigger_directmessage",
        {"state__exact": "unknown", "next_attempt_at__isnull": "True"},
    ),
    What.CLOSING: (
        "review can be answered for less than a day",
        "reviews can be answered for less than a day",
        "intents_review",
        {"order": "oldest"},
    ),
    What.PARKED: (
        "comment could not be analysed and is parked",
        "comments could not be analysed and are parked",
        "intents_analysisfailure",
        {"parked": "yes"},
    ),
    What.OFF: (
        "webhook endpoint is switched off",
        "webhook endpoints are switched off",
        "dmtrigger_webhookendpoint",
        {"is_active__exact": "0"},
    ),
}
"""In words, for one and for several, and the list in which they are."""


def _queue(queue: Waiting) -> Link:
    wait = "comment waits" if queue.number == 1 else "comments wait"
    words = f"{_number(queue.number)} {wait} to be analysed, the oldest for {_age(queue.since)}"
    return Link(words, rows("comments_comment", analyzed_at__isnull="True"))


def _pause(each: Health) -> Link:
    account = each.account
    why = account.pause_reason or "no reason is known"
    words = f"{account} is paused until {account.paused_until:%Y-%m-%d %H:%M} UTC: {why}"
    return Link(words, _page_of(each))


# --- tiles ------------------------------------------------------------------------------------


class Tile(NamedTuple):
    """A figure, and what belongs to it."""

    name: str
    figure: Link
    notes: list[Link]


def _comments(page: Page) -> Tile:
    queue = page.waiting[What.COMMENTS]
    notes = [_queue(queue)] if queue.number else [Link("all are analysed")]
    return Tile("Comments in", Link(_number(page.total.comments), page.rows_of.comments()), notes)


def _intents(page: Page) -> Tile:
    approved = page.rows_of.reviews(status="approved")
    notes = [Link(f"{_number(page.total.approved)} approved", approved)]
    found = Link(_number(page.total.flagged), page.rows_of.reviews())
    return Tile("Purchase intents found", found, notes)


def _reviews(page: Page) -> Tile:
    waiting = page.waiting[What.REVIEWS]
    oldest = Link(f"the oldest for {_age(waiting.since)}", rows("intents_review", order="oldest"))
    notes = [oldest] if waiting.number else [Link("nothing to decide")]
    return Tile("Reviews waiting", Link(_number(waiting.number), rows("intents_review")), notes)


def _messages(page: Page) -> Tile:
    others = {
        "waiting": (State.PENDING, State.SENDING),
        "unknown": (State.UNKNOWN,),
        "failed": (State.FAILED,),
    }
    notes = [
        Link(
            f"{_number(sum(page.total.states[state] for state in states))} {name}",
            page.rows_of.messages(*states),
        )
        for name, states in others.items()
    ]
    return Tile("Messages sent", Link(_number(page.total.sent), page.rows_of.sent()), notes)


def _clicks(page: Page) -> Tile:
    clicks = Link(_number(sum(page.found.clicks)), page.rows_of.clicks())
    notes = [Link(f"on {_number(page.total.clicked)} of the messages")]
    return Tile("Clicks by people", clicks, notes)


def _sales(page: Page) -> Tile:
    revenue = sorted(page.total.revenue.items())
    notes = [Link(f"{intcomma(value)} {currency}") for currency, value in revenue]
    orders = Link(_number(page.total.orders), page.rows_of.sales())
    return Tile("Conversions", orders, notes or [Link("no revenue yet")])


TILES: tuple[tuple[str, Callable[[Page], Tile]], ...] = (
    (COMMENT, _comments),
    (REVIEW, _intents),
    (REVIEW, _reviews),
    (MESSAGE, _messages),
    (CLICK, _clicks),
    (CONVERSION, _sales),
)
"""Each with the right that it takes."""


# --- over time --------------------------------------------------------------------------------


class Of(NamedTuple):
    """What is told over time."""

    key: str
    name: str
    right: str
    values: Callable[[Figures], list[int | None]]
    rows: Callable[[RowsOf], str]


OVER_TIME = (
    Of("comments", "Comments", COMMENT, lambda f: [r.comments for r in f.rows], RowsOf.comments),
    Of("intents", "Intents found", REVIEW, lambda f: [r.flagged for r in f.rows], RowsOf.reviews),
    Of("sent", "Messages sent", MESSAGE, lambda f: [r.sent for r in f.rows], RowsOf.sent),
    Of("clicks", "Clicks by people", CLICK, lambda f: [*f.clicks], RowsOf.clicks),
)


class Series(NamedTuple):
    """A picture over time."""

    key: str
    name: str
    total: Link
    chart: Chart


def _series(page: Page) -> list[Series]:
    found = []
    for of in OVER_TIME:
        if page.may(of.right):
            values = of.values(page.found)
            number = None if None in values else sum(value or 0 for value in values)
            total = Link(_number(number), of.rows(page.rows_of))
            picture = chart(values, page.found.period.since, page.span.step)
            found.append(Series(of.key, of.name, total, picture))
    return found


def _table(page: Page) -> dict[str, Any]:
    """The pictures' figures as a table, the newest first."""
    since, step = page.found.period.since, page.span.step
    told = [of for of in OVER_TIME if page.may(of.right)]
    values = [of.values(page.found) for of in told]
    lines = []
    for place in reversed(range(page.span.steps)):
        begin = since + place * step
        rows_of = RowsOf(Period(begin, begin + step))
        cells = [
            Link(_number(column[place]), of.rows(rows_of) if column[place] else "")
            for of, column in zip(told, values, strict=True)
        ]
        lines.append((name_of(begin, step), cells))
    return {"head": [of.name for of in told], "lines": lines}


# --- the funnel, the model, rankings ----------------------------------------------------------


class Step(NamedTuple):
    """A step of the funnel, and the link to its rows."""

    bar: Bar
    reached: Link


def _funnel(page: Page) -> dict[str, Any]:
    """As on its own page. Clicked and bought are messages, for which there is no list."""
    total, rows_of = page.total, page.rows_of
    places = {
        "Flagged": (REVIEW, rows_of.reviews()),
        "Approved": (REVIEW, rows_of.reviews(status="approved")),
        "Sent": (MESSAGE, rows_of.sent()),
    }
    return {
        "comments": page.link(total.comments, COMMENT, rows_of.comments()),
        "steps": [
            Step(bar, page.link(bar.reached, *places.get(bar.name, (MESSAGE, ""))))
            for bar in bars(total)
        ],
        "url": rows_of.funnel(),
    }


def _precision(page: Page) -> dict[str, Any]:
    """How many of the flagged are buyers, as people say; its interval as a picture, in percent."""
    judged = page.found.judged
    decided = page.rows_of.reviews(decided_by__isnull="False")
    measured = judged.precision or Estimate(0, 0, 0)
    return {
        "judged": judged,
        "least": MIN_DECISIONS,
        "left": 100 * measured.low,
        "width": 100 * (measured.high - measured.low),
        "mark": 100 * measured.value,
        "decided": page.link(judged.decided, REVIEW, decided),
        "url": reverse("admin:intents_modelversion_compare") if page.may(MODEL) else "",
    }


class Ranked(NamedTuple):
    """A post or a person in a ranking."""

    link: Link
    comments: int
    width: float
    """In percent of the first one's."""


def _rankings(page: Page) -> list[tuple[str, list[Ranked]]]:
    ranked = RowsOf(page.found.ranked)
    rankings = (
        ("Posts with most comments", Ranking.POSTS, COMMENT, ranked.comments),
        ("Posts with most intents", Ranking.POSTS_WITH_INTENTS, REVIEW, ranked.reviews),
        ("Most active commenters", Ranking.COMMENTERS, COMMENT, ranked.comments),
    )
    found = []
    for title, ranking, right, rows_of in rankings:
        if page.may(right):
            top = page.found.tops[ranking]
            most = top[0].comments if top else 0
            lines = [
                Ranked(Link(name, rows_of(q=name)), comments, 100 * comments / most)
                for name, comments in top
            ]
            found.append((title, lines))
    return found


# --- accounts ---------------------------------------------------------------------------------


def _account(each: Health, may: Callable[[str], bool]) -> dict[str, Any]:
    """An account's line."""
    account, load = each.account, each.load
    waiting = {"state__in": ",".join(CLAIMABLE), "next_attempt_at__isnull": "False"}
    url = rows("dmtrigger_directmessage", account__exact=str(account.pk), **waiting)
    next_slot = account.next_slot_at
    return {
        "link": Link(str(account), _page_of(each)),
        "account": account,
        "is_paused": each.is_paused,
        "load": load,
        "used": min(100.0, 100 * load.slots_used / load.limit) if load.limit else 0.0,
        "waiting": Link(_number(load.waiting), url if load.waiting and may(MESSAGE) else ""),
        "leaves": naturaltime(load.until) if load.until else "",
        "next_slot": next_slot if next_slot and next_slot > timezone.now() else None,
    }


def _page_of(each: Health) -> str:
    return reverse("admin:dmtrigger_account_change", args=[each.account.pk])


# --- words ------------------------------------------------------------------------------------


def _number(number: int | None) -> str:
    """With commas; a dash where it cannot be told."""
    return "–" if number is None else intcomma(number)


def _age(since: datetime | None) -> str:
    """How long ago that is."""
    if since is None:
        return "an unknown time"
    seconds = max(0, int((timezone.now() - since).total_seconds()))
    return f"{seconds} s" if seconds < 60 else timesince(since, depth=1)
