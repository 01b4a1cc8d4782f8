"""A comment that cannot be analysed holds nobody up, is tried again, and is parked in the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.utils import timezone
from prometheus_client import REGISTRY

from comments.models import Comment
from comments.partitions import first_id, today
from comments.signals import comments_retired
from intents import failures
from intents.analysis import analyze_batch
from intents.models import AnalysisFailure, IntentResult, Review
from tests.factories import AnalysisFailureFactory, CommentFactory, UserFactory
from tests.intents.fakes import BUYER

pytestmark = pytest.mark.django_db

POISON = "poison?"


def pass_time() -> None:
    """Until all that is to be tried again is due."""
    AnalysisFailure.objects.exclude(retry_at=None).update(retry_at=timezone.now())


def is_answered(comment: Comment) -> bool:
    return IntentResult.objects.filter(comment=comment).exists()


# Isolation --------------------------------------------------------------------------------------


def test_what_the_model_cannot_read_costs_no_other_comment_its_answer(model):
    batch = [CommentFactory(text=POISON if n in {0, 4} else "price?") for n in range(9)]
    assert analyze_batch() == 9
    assert [is_answered(comment) for comment in batch] == [n not in {0, 4} for n in range(9)]
    assert set(AnalysisFailure.objects.values_list("pk", flat=True)) == {batch[0].pk, batch[4].pk}
    assert Review.objects.count() == 7
    assert not Comment.objects.filter(analyzed_at=None).exists()


@pytest.mark.parametrize(
    "bad", [{"evidence": {"words": [["\x00", 1]]}}, {"language": "much too long"}, {"score": 101}]
)
def test_what_the_database_refuses_costs_no_other_comment_its_answer(model, bad):
    model.answer = lambda text: BUYER._replace(**bad) if "poison" in text else BUYER
    before, poison, after = (CommentFactory(text=text) for text in ("a?", POISON, "b?"))
    analyze_batch()
    assert is_answered(before)
    assert is_answered(after)
    assert AnalysisFailure.objects.get().pk == poison.pk


def test_an_answer_too_few_is_no_answer(model, monkeypatch):
    CommentFactory.create_batch(2)
    monkeypatch.setattr(model, "predict", lambda texts: [BUYER] * (len(texts) - 1))
    analyze_batch()
    assert AnalysisFailure.objects.count() == 2


def test_a_comment_whose_review_cannot_be_made_has_no_result_either(model, monkeypatch):
    monkeypatch.setattr("intents.reviews.flag", lambda results: 1 / (not results))
    buyer, fan = CommentFactory(text="price?"), CommentFactory(text="nice")
    analyze_batch()
    assert (is_answered(buyer), is_answered(fan)) == (False, True)
    assert AnalysisFailure.objects.get().reason == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("error", [OperationalError("gone"), ProgrammingError("no such column")])
def test_a_database_that_is_away_or_not_migrated_is_no_comments_fault(model, monkeypatch, error):
    comment = CommentFactory(text="price?")

    def fail(_results):
        raise error

    monkeypatch.setattr("intents.reviews.flag", fail)
    with pytest.raises(type(error)):
        analyze_batch()
    comment.refresh_from_db()
    assert comment.analyzed_at is None
    assert not AnalysisFailure.objects.exists()


def test_a_reason_can_always_be_stored(model):
    def fail(_text):
        raise ValueError("\x00 \ud800" + "x" * 1_000)

    model.answer = fail
    CommentFactory()
    analyze_batch()
    assert AnalysisFailure.objects.get().reason.startswith("ValueError:  ?xxx")


# Trying again -----------------------------------------------------------------------------------


def test_it_is_tried_after_30_60_and_120_seconds_and_then_parked(model):
    CommentFactory(text=POISON)
    waits = []
    for _ in range(4):
        analyze_batch()
        failure = AnalysisFailure.objects.get()
        waits.append(failure.retry_at and (failure.retry_at - failure.failed_at).total_seconds())
        pass_time()
    assert waits == [30, 60, 120, None]
    assert (failure.attempts, failure.is_parked) == (4, True)
    assert failure.reason == "ValueError: cannot read poison?"
    assert analyze_batch() == 0


def test_before_its_time_it_is_left_alone(model):
    AnalysisFailureFactory(retry_at=timezone.now() + timedelta(seconds=5))
    assert analyze_batch() == 0


def test_without_retries_it_is_parked_at_once(model, settings):
    settings.MAX_RETRIES = 0
    CommentFactory(text=POISON)
    analyze_batch()
    assert AnalysisFailure.objects.get().is_parked


def test_many_retries_come_at_most_an_hour_apart(model, settings):
    settings.MAX_RETRIES = 1_000
    failure = AnalysisFailureFactory(attempts=900, retry_at=timezone.now())
    Comment.objects.update(text=POISON)
    analyze_batch()
    failure.refresh_from_db()
    assert failure.retry_at - failure.failed_at == timedelta(minutes=64)


def test_what_goes_well_in_the_end_is_a_result_like_any_other(model):
    CommentFactory(text=POISON)
    analyze_batch()
    model.answer = lambda _text: BUYER
    pass_time()
    assert analyze_batch() == 1
    assert not AnalysisFailure.objects.exists()
    assert Review.objects.get().intent.label == "purchase_intent"


def test_what_is_due_is_part_of_a_batch_and_does_not_make_it_larger(model, settings):
    settings.COMMENT_BATCH_SIZE = 3
    due = AnalysisFailureFactory(retry_at=timezone.now())
    CommentFactory.create_batch(3)
    assert analyze_batch() == 3
    assert not AnalysisFailure.objects.filter(pk=due.pk).exists()
    assert Comment.objects.filter(analyzed_at=None).count() == 1


def test_a_failure_of_a_comment_that_is_gone_is_forgotten(model):
    failure = AnalysisFailureFactory(retry_at=timezone.now())
    Comment.objects.all().delete()
    assert analyze_batch() == 0
    assert not AnalysisFailure.objects.filter(pk=failure.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_try_different_comments_again(model):
    first, second = (AnalysisFailureFactory(retry_at=timezone.now()) for _ in range(2))

    def work() -> int:
        try:
            return analyze_batch()
        finally:
            connection.close()

    with transaction.atomic():  # as a worker that is at it
        AnalysisFailure.objects.select_for_update().get(pk=first.pk)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(work).result() == 1
    assert IntentResult.objects.get().pk == second.pk


def test_a_batch_that_dies_leaves_what_it_tried_again_due(model, monkeypatch):
    failure = AnalysisFailureFactory(retry_at=timezone.now())

    def die(*_):
        raise OperationalError("gone")

    monkeypatch.setattr("intents.experiments.store_shadow", die)
    with pytest.raises(OperationalError):
        analyze_batch()
    assert AnalysisFailure.objects.get() == failure
    assert AnalysisFailure.objects.get().retry_at == failure.retry_at
    assert not IntentResult.objects.exists()


def test_a_retired_comments_failure_goes_with_it():
    oldest_kept = first_id(today())
    AnalysisFailureFactory(comment_id=oldest_kept - 1)
    kept = AnalysisFailureFactory()
    comments_retired.send(sender="test", before_id=oldest_kept)
    assert AnalysisFailure.objects.get() == kept


# What people see --------------------------------------------------------------------------------


def counted(outcome: str) -> float:
    name = "intent_analysis_failures_total"
    return REGISTRY.get_sample_value(name, {"outcome": outcome}) or 0


def test_failures_are_counted(model, settings, django_capture_on_commit_callbacks):
    settings.MAX_RETRIES = 1
    CommentFactory(text=POISON)
    before = counted("retried"), counted("parked")
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            analyze_batch()
        pass_time()
    assert (counted("retried"), counted("parked")) == (before[0] + 1, before[1] + 1)


def test_the_parked_are_counted_and_those_in_retry_are_not():
    AnalysisFailureFactory.create_batch(2)
    AnalysisFailureFactory(retry_at=timezone.now())
    assert failures.count_parked() == 2


@pytest.fixture
def woken(monkeypatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("intents.admin.wake_unless_woken", lambda task: names.append(task.name))
    return names


def again(client, *chosen: AnalysisFailure):
    return client.post(
        "/admin/intents/analysisfailure/",
        {"action": "analyse_again", "_selected_action": [failure.pk for failure in chosen]},
        follow=True,
    )


def test_an_operator_has_a_parked_comment_analysed_again(client, operator, model, woken):
    client.force_login(operator)
    failure, other = AnalysisFailureFactory.create_batch(2)
    assert "To be analysed again: 1." in again(client, failure).content.decode()
    assert woken == ["analyze_comment_batch"]
    assert analyze_batch() == 1
    assert AnalysisFailure.objects.get() == other
    assert LogEntry.objects.get().change_message == "to be analysed again"


def test_what_fails_again_is_parked_again(client, operator, model, woken):
    client.force_login(operator)
    failure = AnalysisFailureFactory()
    Comment.objects.update(text=POISON)
    again(client, failure)
    analyze_batch()
    failure.refresh_from_db()
    assert (failure.attempts, failure.is_parked) == (5, True)


def test_the_console_shows_what_failed_and_why(client, operator):
    client.force_login(operator)
    parked = AnalysisFailureFactory(reason="ValueError: <b>")
    Comment.objects.update(text="<i>cannot be read</i>")
    AnalysisFailureFactory(retry_at=timezone.now(), reason="tried soon")
    page = client.get("/admin/intents/analysisfailure/?parked=yes").content.decode()
    assert "&lt;i&gt;cannot be read&lt;/i&gt;" in page
    assert "ValueError: &lt;b&gt;" in page
    assert "tried soon" not in page
    page = client.get(f"/admin/intents/analysisfailure/{parked.pk}/change/").content.decode()
    assert "&lt;i&gt;cannot be read&lt;/i&gt;" in page


def test_who_may_only_look_has_no_action(client):
    user = UserFactory(is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_analysisfailure"))
    client.force_login(user)
    failure = AnalysisFailureFactory()
    again(client, failure)
    failure.refresh_from_db()
    assert failure.is_parked
