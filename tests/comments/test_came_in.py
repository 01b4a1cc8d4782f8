"""The filter by when a comment came in, on a list of the admin."""

from datetime import timedelta

import pytest
from django.utils import timezone

from comments.partitions import given_out_at, id_at
from tests.factories import CommentFactory, ReviewFactory

pytestmark = pytest.mark.django_db


def count_of(client, page: str, **parameters: object) -> int:
    return client.get(f"/admin/{page}/", parameters).context["cl"].result_count


def test_an_id_tells_when_it_was_given_out():
    now = timezone.now().replace(microsecond=0)
    assert given_out_at(id_at(now)) == now
    assert given_out_at(id_at(now) + 999_999) == now


def test_a_list_shows_what_came_in_from_one_moment_until_before_another(admin_client):
    now = timezone.now().replace(microsecond=0)
    for hours in (0, 1, 2):
        CommentFactory(id=id_at(now + timedelta(hours=hours)))
    bounds = {"id__gte": id_at(now), "id__lt": id_at(now + timedelta(hours=2))}
    assert count_of(admin_client, "comments/comment", **bounds) == 2
    html = admin_client.get("/admin/comments/comment/", bounds).content.decode()
    assert f"from {now:%Y-%m-%d %H:%M} until" in html
    assert "Any time" in html


def test_the_filter_shows_only_while_it_is_set(admin_client):
    assert "Any time" not in admin_client.get("/admin/comments/comment/").content.decode()


def test_what_belongs_to_a_comment_is_narrowed_too(admin_client):
    review = ReviewFactory()
    first = review.intent.comment_id
    assert count_of(admin_client, "intents/review", intent__gte=first, intent__lt=first + 1) == 1
    assert count_of(admin_client, "intents/review", intent__gte=first + 1) == 0


@pytest.mark.parametrize("bad", ["x", "-1", "9" * 30, ""])
def test_a_bound_that_is_none_of_ours_is_not_asked_for(admin_client, bad):
    answer = admin_client.get("/admin/comments/comment/", {"id__gte": bad})
    assert answer.status_code == 302
    assert answer.url == "/admin/comments/comment/?e=1"
