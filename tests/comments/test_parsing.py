"""What a comment must look like, and what is said of one that does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comments.parsing import parse_batch, parse_timestamp

GOOD = {"id": "c1", "text": "price?", "author": "ada", "timestamp": "2024-01-25T10:30:00Z"}
AUTHOR_FACTS = {"author_followers": 12_300, "author_verified": True}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)
NO_FOLLOWERS = "must be a whole number from 0 to 2147483647, or null"


def the_error(item: Any) -> tuple[str, str]:
    """The field and the message of the one error that an item gives."""
    good, [error] = parse_batch([item], "p1")
    assert good == []
    return error.field, error.reason


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"text": None}, "text", "is missing"),
        ({"text": ""}, "text", "must not be empty"),
        ({"text": " \n\t"}, "text", "must not be empty"),
        ({"text": 7}, "text", "must be text"),
        ({"text": "x" * 100_000}, "text", "has 100000 characters, the limit is 10000"),
        ({"text": "a\x00b"}, "text", "contains a NUL character"),
        ({"text": "half \ud83d"}, "text", "contains half of a surrogate pair"),
        ({"id": None}, "id", "is missing"),
        ({"id": "i" * 101}, "id", "has 101 characters, the limit is 100"),
        ({"id": 12}, "id", "must be text"),
        ({"author": None}, "author", "is missing"),
        ({"author": "a" * 101}, "author", "has 101 characters, the limit is 100"),
        ({"timestamp": None}, "timestamp", "is missing"),
        ({"timestamp": "yesterday"}, "timestamp", "is not an ISO 8601 date and time"),
        ({"timestamp": 1706178600}, "timestamp", "must be ISO 8601 text"),
        (
            {"timestamp": "9999-12-31T23:59:59Z"},
            "timestamp",
            "must lie between the year 2000 and a day from now",
        ),
        (
            {"timestamp": "0001-01-01T00:00:00+14:00"},
            "timestamp",
            "is not an ISO 8601 date and time",
        ),
        *(
            ({"author_followers": followers}, "author_followers", NO_FOLLOWERS)
            for followers in (-1, 2**31, 12.5, "12300", True, ["12300"])
        ),
        *(
            ({"author_verified": verified}, "author_verified", "must be true or false")
            for verified in (1, "true", ["true"])
        ),
    ],
)
def test_a_bad_field_is_named_with_what_is_wrong(change, field, message):
    assert the_error(GOOD | change) == (field, message)


def test_what_the_platform_tells_of_an_author_is_kept():
    [comment], _ = parse_batch([GOOD | AUTHOR_FACTS], "p1")
    assert (comment.author_followers, comment.author_verified) == (12_300, True)


@pytest.mark.parametrize("facts", [{}, {"author_followers": None, "author_verified": None}])
def test_of_an_author_the_platform_need_not_tell_anything(facts):
    [comment], _ = parse_batch([GOOD | facts], "p1")
    assert (comment.author_followers, comment.author_verified) == (None, False)


@pytest.mark.parametrize("item", [None, 3, "text", [], ["id"]])
def test_an_item_that_is_no_object_is_refused(item):
    assert the_error(item)[0] == "item"


@pytest.mark.parametrize("text", ["👀 link?", "كم السعر؟", "x" * 10_000, "‮evil", "e\u0301"])
def test_any_valid_unicode_is_kept_as_it_is(text):
    [comment], errors = parse_batch([GOOD | {"text": text}], "p1")
    assert (comment.text, errors) == (text, [])


def test_an_error_carries_the_items_place_and_its_id_if_that_can_be_shown():
    _, errors = parse_batch([GOOD, GOOD | {"text": ""}, GOOD | {"id": "\x00"}], "p1")
    assert [(error.index, error.id) for error in errors] == [(1, "c1"), (2, None)]


def test_the_good_items_of_a_batch_are_kept():
    good, errors = parse_batch([GOOD, GOOD | {"text": ""}, GOOD | {"id": "c2"}], "p1")
    assert [comment.external_id for comment in good] == ["c1", "c2"]
    assert len(errors) == 1


def test_without_a_post_id_each_item_carries_its_own():
    [comment], [error] = parse_batch([GOOD | {"post_id": "p9"}, GOOD])
    assert comment.post_id == "p9"
    assert (error.index, error.field, error.reason) == (1, "post_id", "is missing")


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-25T10:30:00Z",
        "2024-01-25T10:30:00+0000",  # Meta's form
        "2024-01-25T11:30:00+01:00",
        "2024-01-25T10:30:00",  # the spec's: without a zone, meaning UTC
    ],
)
def test_the_platforms_timestamp_forms_mean_the_same_moment(text):
    assert parse_timestamp(text) == datetime(2024, 1, 25, 10, 30, tzinfo=UTC)


def test_a_clock_that_is_a_little_ahead_is_forgiven():
    soon = datetime.now(UTC) + timedelta(minutes=5)
    assert parse_timestamp(soon.isoformat()) == soon


@given(st.lists(JSON | st.fixed_dictionaries(dict.fromkeys(GOOD | AUTHOR_FACTS, JSON)), max_size=5))
def test_every_item_of_any_json_is_either_taken_or_named(items):
    good, errors = parse_batch(items, "p1")
    assert len(good) + len(errors) == len(items)
    for comment in good:
        comment.text.encode()  # storable
        assert "\x00" not in comment.text
