"""Lists of big tables: they are walked by key, to the last row."""

import pytest

from comments.admin import FirstRows, ReadOnlyAdmin
from comments.models import Comment
from dmtrigger.models import AuditEntry, DirectMessage, Person
from intents.models import IntentResult
from tests.factories import CommentFactory, DirectMessageFactory, IntentResultFactory

pytestmark = pytest.mark.django_db
SMALL = 2


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(ReadOnlyAdmin, "list_per_page", 1)
    monkeypatch.setattr(FirstRows, "most", SMALL)


def person() -> Person:
    return Person.objects.create(source="fake_platform", name=f"buyer {Person.objects.count()}")


def audit_entry() -> AuditEntry:
    return AuditEntry.objects.create(action="looked", target="a list")


LISTS = [
    (Comment, CommentFactory),
    (IntentResult, IntentResultFactory),
    (DirectMessage, DirectMessageFactory),
    (Person, person),
    (AuditEntry, audit_entry),
]


@pytest.mark.parametrize(("model", "make"), LISTS)
def test_each_row_is_on_one_page_when_a_list_is_walked_to_its_end(admin_client, model, make):
    made = [make().pk for _ in range(2 * SMALL + 1)]
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    query: str | None = "?"
    seen: list[int] = []
    while query is not None:
        for page in range(1, SMALL + 1):
            listed = admin_client.get(f"{address}{query}&p={page}").context["cl"]
            seen += [row.pk for row in listed.result_list]
            if page == listed.paginator.num_pages:
                break
        query = listed.older()
    assert seen == sorted(made, reverse=True)


def test_a_list_that_is_counted_whole_leads_nowhere_else(admin_client):
    CommentFactory.create_batch(SMALL)
    assert "Older ones" not in admin_client.get("/admin/comments/comment/").content.decode()


def test_the_way_to_older_rows_is_on_the_last_page_and_keeps_the_filters(admin_client):
    CommentFactory.create_batch(SMALL + 1, author="ada")
    CommentFactory(author="grace")
    first = admin_client.get("/admin/comments/comment/?q=ada").content.decode()
    assert "2 or more comments" in first
    assert "Older ones" not in first
    last = admin_client.get(f"/admin/comments/comment/?q=ada&p={SMALL}")
    assert "Older ones" in last.content.decode()
    rest = admin_client.get("/admin/comments/comment/" + last.context["cl"].older()).context["cl"]
    assert [comment.author for comment in rest.result_list] == ["ada"]
