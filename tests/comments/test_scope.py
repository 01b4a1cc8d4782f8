"""Rows are narrowed in one place, and what does not say how is closed."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission

from comments.models import Comment, Monitor
from comments.scope import EVERY, NOTHING, Scope, Seen, scope_of
from tests.factories import AccountFactory, CommentFactory, MonitorFactory, UserFactory

SHOP, CLUB = Seen(1, "instagram", "shop"), Seen(2, "instagram", "club")
ONLY = Seen(3, "threads", "")


def test_for_who_sees_every_account_the_statement_is_the_same():
    rows = Comment.objects.filter(post_id="p")
    assert EVERY.narrow(rows) is rows


@pytest.mark.django_db
def test_an_account_is_a_source_and_a_name():
    for source, name in (("instagram", "shop"), ("threads", "shop"), ("instagram", "")):
        CommentFactory(source=source, account=name)
    [comment] = Scope(frozenset({SHOP, CLUB})).narrow(Comment.objects.all())
    assert (comment.source, comment.account) == ("instagram", "shop")


@pytest.mark.django_db
def test_the_only_account_of_a_source_is_one_without_a_name():
    for name in ("", "shop"):
        CommentFactory(source="threads", account=name)
    [comment] = Scope(frozenset({ONLY})).narrow(Comment.objects.all())
    assert comment.account == ""


@pytest.mark.django_db
def test_of_what_does_not_say_whose_it_is_nothing_is_seen():
    Group.objects.create(name="some")
    assert not Scope(frozenset({SHOP})).narrow(Group.objects.all())


@pytest.mark.django_db
def test_who_sees_no_account_sees_nothing():
    MonitorFactory()
    CommentFactory()
    for model in (Comment, Monitor):
        assert not NOTHING.narrow(model.objects.all())


@pytest.mark.django_db
@pytest.mark.parametrize("user", [None, AnonymousUser()])
def test_who_is_not_known_sees_nothing(user):
    CommentFactory()
    assert not scope_of(user).narrow(Comment.objects.all())


@pytest.mark.django_db
def test_to_lose_the_last_account_is_not_to_see_every_one():
    user = UserFactory(every_account=False)
    user.accounts.add(account := AccountFactory())
    account.delete()
    assert not user.scope.is_whole
    assert not user.scope.accounts


@pytest.mark.django_db
def test_a_superuser_sees_every_account():
    assert UserFactory(is_superuser=True, every_account=False).scope.is_whole


@pytest.mark.parametrize(
    ("right", "covered"),
    [
        ("comments.view_comment", True),
        ("intents.decide_review", True),
        ("dmtrigger.resume_account", True),
        ("dmtrigger.add_account", False),
        ("dmtrigger.erase_person", False),
        ("dmtrigger.view_webhookendpoint", False),
        ("dmtrigger.view_auditentry", False),
        ("intents.promote_model", False),
        ("threadsagent.change_user", False),
        ("knox.add_authtoken", False),
        ("django_celery_results.view_taskresult", False),
    ],
)
def test_a_right_holds_where_it_can_be_used_within_accounts(right, covered):
    assert Scope(frozenset({SHOP})).covers(right) == covered
    assert EVERY.covers(right)


@pytest.mark.django_db
def test_a_user_has_no_right_that_goes_beyond_their_accounts():
    user = UserFactory(every_account=False)
    user.user_permissions.set(Permission.objects.all())
    assert user.has_perm("comments.view_comment")
    assert not user.has_perm("intents.promote_model")


def test_what_is_kept_for_several_people_is_kept_apart_by_their_accounts():
    assert EVERY.label == ""
    both = {Scope(frozenset(some)).label for some in ({SHOP, CLUB}, {CLUB, SHOP})}
    assert len(both) == 1
    assert both.isdisjoint({Scope(frozenset({SHOP})).label, NOTHING.label, ""})
