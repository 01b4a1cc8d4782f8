"""What a comment must look like to come in, and what is said of one that does not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

MAX_ID_LENGTH = 100  # characters, the spec's column width; the same for post ids and authors
MAX_TEXT_LENGTH = 10_000  # characters; YouTube's limit, the longest of the platforms
MAX_FOLLOWERS = 2**31 - 1  # of the column; nobody on any platform has half as many
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_SKEW = timedelta(days=1)


class NewComment(msgspec.Struct, frozen=True):
    """A comment that may be stored. `comments.ingest` sends it to the database as JSON."""

    external_id: str
    post_id: str
    text: str
    author: str
    posted_at: datetime  # aware, UTC
    author_followers: int | None  # None: the platform does not say
    author_verified: bool


@dataclass(frozen=True)
class ItemError:
    """Why one item of a batch was refused; `index` counts from 0, `id` is None if unusable."""

    index: int
    id: str | None
    field: str
    reason: str


class FieldError(ValueError):
    """A field that cannot be used: `field` names it, the text says why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_text(field: str, value: Any, limit: int) -> str:
    """Text that PostgreSQL can hold: not blank, at most `limit` characters, valid Unicode."""
    if not isinstance(value, str):
        raise FieldError(field, "is missing" if value is None else "must be text")
    if not value.strip():
        raise FieldError(field, "must not be empty")
    if len(value) > limit:
        raise FieldError(field, f"has {len(value)} characters, the limit is {limit}")
    if "\x00" in value:
        raise FieldError(field, "contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise FieldError(field, "contains half of a surrogate pair") from None
    return value


def storable(text: str) -> str:
    """Any text, made such that PostgreSQL can hold it: a platform's words, a file's name."""
    return text.replace("\x00", "").encode(errors="replace").decode()


def parse_timestamp(value: Any) -> datetime:
    """ISO 8601; one without a zone is UTC, as the spec's documents write them."""
    if not isinstance(value, str):
        raise FieldError("timestamp", "is missing" if value is None else "must be ISO 8601 text")
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FieldError("timestamp", "is not an ISO 8601 date and time") from None
    if not EARLIEST <= moment <= datetime.now(UTC) + CLOCK_SKEW:
        raise FieldError("timestamp", "must lie between the year 2000 and a day from now")
    return moment


def parse_followers(value: Any) -> int | None:
    """How many people follow an author; None where that is not told."""
    # Not isinstance: JSON's true is an int to it.
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_FOLLOWERS):
        limits = f"from 0 to {MAX_FOLLOWERS}"
        raise FieldError("author_followers", f"must be a whole number {limits}, or null")
    return value


def parse_verified(value: Any) -> bool:
    """Whether the platform has verified an author; not where that is not told."""
    if value is not None and not isinstance(value, bool):
        raise FieldError("author_verified", "must be true or false")
    return value is True


def parse_comment(item: Any, post_id: str | None = None) -> NewComment:
    """One item as `POST /comments/process` has it; without `post_id` it must carry its own."""
    if not isinstance(item, dict):
        raise FieldError("item", "must be an object with id, text, author and timestamp")
    return NewComment(
        external_id=parse_text("id", item.get("id"), MAX_ID_LENGTH),
        post_id=post_id or parse_text("post_id", item.get("post_id"), MAX_ID_LENGTH),
        text=parse_text("text", item.get("text"), MAX_TEXT_LENGTH),
        author=parse_text("author", item.get("author"), MAX_ID_LENGTH),
        posted_at=parse_timestamp(item.get("timestamp")),
        author_followers=parse_followers(item.get("author_followers")),
        author_verified=parse_verified(item.get("author_verified")),
    )


def parse_batch(
    items: Iterable[Any], post_id: str | None = None
) -> tuple[list[NewComment], list[ItemError]]:
    """Split a batch into what can be stored and what is wrong with the rest."""
    good, errors = [], []
    for index, item in enumerate(items):
        try:
            good.append(parse_comment(item, post_id))
        except FieldError as error:
            errors.append(ItemError(index, _printable_id(item), error.field, str(error)))
    return good, errors


def _printable_id(item: Any) -> str | None:
    """The item's id if it can be shown as it is; an unusable one is named by its index alone."""
    try:
        return parse_text("id", item.get("id") if isinstance(item, dict) else None, MAX_ID_LENGTH)
    except FieldError:
        return None
