"""Buyers' comments, here and on the fake platform, whose reviews wait to be approved."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from django.utils import timezone

from comments.models import Comment
from dmtrigger.models import Campaign, Variant
from intents.models import Band, IntentResult, Label, Review
from threadsagent.fake_platform.store import Store, iso_utc

MESSAGES_AN_ACCOUNT = 500  # in an hour the platform takes 750, and asks to slow down from 75 % on
SOURCE = "fake_platform"
POST = "p1"
TEXT = "Where can I buy this? How much is shipping?"
CHUNK = 1_000


def make_campaign(*, auto_threshold: int | None = None) -> Campaign:
    """The campaign that answers all of them."""
    campaign = Campaign.objects.create(
        name="all", link="https://shop.example/backpack", auto_threshold=auto_threshold
    )
    Variant.objects.create(campaign=campaign)
    return campaign


def account_of(number: int) -> str:
    """The account under whose post a comment is, so that none gets to its platform's limit."""
    return f"shop{number // MESSAGES_AN_ACCOUNT}"


def make_reviews(names: Iterable[str]) -> list[Review]:
    """Comments with these ids on their platform, flagged, each of somebody else."""
    now = timezone.now()
    comments = [
        Comment(
            source=SOURCE,
            external_id=name,
            account=account_of(number),
            post_id=POST,
            text=TEXT,
            author=f"buyer of {name}",
            posted_at=now,
            analyzed_at=now,
        )
        for number, name in enumerate(names)
    ]
    Comment.objects.bulk_create(comments, CHUNK)
    results = [
        IntentResult(
            comment=comment,
            label=Label.PURCHASE_INTENT,
            score=85,
            confidence=0.85,
            band=Band.IMMEDIATE_DM,
            model_version="made up",
        )
        for comment in comments
    ]
    IntentResult.objects.bulk_create(results, CHUNK)
    return Review.objects.bulk_create([Review(intent=result) for result in results], CHUNK)


def put_on_platform(data: Path, comments: Iterable[tuple[str, str]]) -> None:
    """The same comments (id, author) in the file of a fake platform that does not run."""
    Store(data).close()  # makes the tables
    now = iso_utc(datetime.now(UTC))
    with closing(sqlite3.connect(data)) as db, db:
        db.executemany(
            "INSERT INTO comments (id, post_id, text, author, timestamp) VALUES (?, ?, ?, ?, ?)",
            ((name, POST, TEXT, author, now) for name, author in comments),
        )


def ledger(data: Path) -> list[tuple[str, datetime]]:
    """The platform's messages: the comment's id, and when it came."""
    with closing(sqlite3.connect(f"file:{data}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT comment_id, received_at FROM messages ORDER BY seq").fetchall()
    return [(comment, datetime.fromisoformat(at)) for comment, at in rows]
