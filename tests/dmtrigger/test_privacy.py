"""A person's data: all of it can be shown, and taken away; what stays names nobody."""

import base64
import hmac
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from comments.ingest import ingest
from comments.models import Comment, IdempotentCall, SeenComment
from dmtrigger import outbox, people, privacy
from dmtrigger.campaigns import draft
from dmtrigger.models import (
    AuditEntry,
    Click,
    Conversion,
    DeliveryAttempt,
    DirectMessage,
    Person,
    Refusal,
    WebhookDelivery,
    WebhookEndpoint,
)
from dmtrigger.policy import Rule
from dmtrigger.privacy import erase_person, erasure_of, export_person
from dmtrigger.retry import Kind, Outcome
from dmtrigger.states import State
from intents.models import IntentResult, Review
from intents.reviews import AlreadyDecided, decide
from tests.concurrency import wait_until_somebody_waits
from tests.factories import (
    AnalysisFailureFactory,
    CampaignFactory,
    CommentFactory,
    DirectMessageFactory,
    IntentResultFactory,
    ReviewFactory,
)

pytestmark = pytest.mark.django_db
SOURCE, NAME, TEXT = "fake_platform", "zara.quill", "where do I get the zebra-striped tent"
SECRET = "of the app"


@pytest.fixture
def endpoint(db) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(name="crm", url="https://crm.example/")


@pytest.fixture
def everything(operator, endpoint) -> DirectMessage:
    """A person of whom something stands in every table; their sent message."""
    message = DirectMessageFactory(
        **{
            f"review__intent__comment__{field}": value
            for field, value in {"author": NAME, "text": TEXT, "author_followers": 77_777}.items()
        },
        review__intent__evidence={
            "words": [["zebra-striped", 0.8]],
            "nearest": [[TEXT, "praise", 1]],
        },
        review__note=f"{NAME} is nice",
        text=f"Hi {NAME}, about “{TEXT}”",
        last_error=f"the platform says {NAME}",
        platform_message_id=f"mid.{NAME}",
        state=State.SENDING,
        attempts=1,
        claimed_at=timezone.now(),
    )
    attempt = message.log.create(number=1, account=message.account)
    outbox._record(attempt, Outcome(Kind.SENT, f"to {NAME}: {TEXT}", f"mid.{NAME}"))
    Click.objects.create(
        message=message, token=uuid.uuid4(), at=timezone.now(), is_bot=False, user_agent=NAME
    )
    Conversion.objects.create(
        message=message, order_id="o-1", value="9.90", currency="EUR", at=timezone.now()
    )
    Refusal.objects.create(
        comment_id=message.comment_id,
        campaign=message.campaign,
        rule=Rule.COOL_DOWN,
        reason=f"a message to {NAME} was sent",
    )
    people.block(SOURCE, NAME, "olga", reason=f"{NAME} shouted")
    people.take_over(SOURCE, NAME, operator.pk, "olga")
    people.wrote(SOURCE, NAME, "STOP", timezone.now())
    failed = CommentFactory(author=NAME, text=TEXT)
    AnalysisFailureFactory(comment_id=failed.pk, reason=f"ValueError: {TEXT}")
    for row in (message, message.review, message.review.intent.comment, Person.objects.get()):
        LogEntry.objects.create(
            user=operator,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=f"{row} {NAME}",
            action_flag=CHANGE,
            change_message=TEXT,
        )
    IntentResultFactory(
        evidence={"words": [], "nearest": [[TEXT, "praise", 0.9], ["nice", "praise", 0.8]]}
    )
    IdempotentCall.objects.create(
        user=operator,
        key="1",
        fingerprint="",
        status=200,
        answer=json.dumps({"recipient": NAME, "text": TEXT}, separators=(",", ":")),
    )
    message.refresh_from_db()
    return message


# --- nothing is left --------------------------------------------------------------------------


def text_columns() -> list[tuple[str, str]]:
    """Every column of every table in which text can stand, JSON and arrays included."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT c.table_name, c.column_name
            FROM information_schema.columns c JOIN information_schema.tables t
                USING (table_schema, table_name)
            WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE'
                AND c.data_type IN
                    ('text', 'character varying', 'character', 'jsonb', 'json', 'ARRAY')
            """
        )
        return cursor.fetchall()


def columns_with(*words: str) -> set[str]:
    """The columns in which one of the words stands somewhere."""
    patterns = [f"%{word}%" for word in words]
    found = set()
    with connection.cursor() as cursor:
        for table, column in text_columns():
            cursor.execute(
                f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{column}"::text ILIKE ANY (%s))',  # noqa: S608
                [patterns],
            )
            if cursor.fetchone() == (True,):
                found.add(f"{table.split('_2')[0]}.{column}")  # a partition counts as its table
    return found


def test_the_scan_looks_into_every_table():
    tables = {table for table, _column in text_columns()}
    assert {"dmtrigger_directmessage", "dmtrigger_webhookdelivery", "django_admin_log"} <= tables
    assert len(tables) > 20


def test_after_an_erasure_no_column_of_any_table_has_the_name_or_the_text(everything):
    before = columns_with(NAME, TEXT, "zebra-striped")
    assert before >= {
        "comments_comment.author",
        "comments_comment.text",
        "comments_idempotentcall.answer",
        "intents_intentresult.evidence",
        "intents_review.note",
        "intents_analysisfailure.reason",
        "dmtrigger_directmessage.recipient",
        "dmtrigger_directmessage.text",
        "dmtrigger_directmessage.platform_message_id",
        "dmtrigger_messageevent.detail",
        "dmtrigger_deliveryattempt.detail",
        "dmtrigger_click.user_agent",
        "dmtrigger_refusal.reason",
        "dmtrigger_person.name",
        "dmtrigger_person.block_reason",
        "dmtrigger_webhookdelivery.payload",
        "django_admin_log.object_repr",
        "django_admin_log.change_message",
    }
    erase_person(SOURCE, NAME, "olga")
    assert columns_with(NAME, TEXT, "zebra-striped") == set()


def test_nothing_of_others_is_touched(everything):
    other = DirectMessageFactory(
        review__intent__comment__author="grace",
        review__note="hm",
        state=State.SENT,
        text="Hi grace",
    )
    namesake = CommentFactory(source="instagram", author=NAME)
    person = people.block(SOURCE, "grace", "olga", reason="rude")
    erase_person(SOURCE, NAME, "olga")
    for row in (other, other.review, other.review.intent.comment, person, namesake):
        again = type(row).objects.get(pk=row.pk)
        fields = [field.attname for field in row._meta.concrete_fields]
        assert all(getattr(again, name) == getattr(row, name) for name in fields)
    result = IntentResult.objects.get(evidence__isnull=False)
    assert (result.evidence or {})["nearest"] == [["nice", "praise", 0.8]]


def test_what_stays_still_counts(everything):
    counts = erase_person(SOURCE, NAME, "olga").counts
    assert counts == {"comments": 2, "reviews": 1, "messages": 1, "refusals": 1, "wishes": 1}
    everything.refresh_from_db()
    assert (everything.state, everything.score) == (State.SENT, None)
    assert everything.sent_at is not None
    assert everything.events.filter(state="sent").exists()
    assert Click.objects.filter(message=everything).exists()
    assert Conversion.objects.get().order_id == "o-1"
    assert Refusal.objects.get().rule == Rule.COOL_DOWN
    comment = Comment.objects.get(pk=everything.comment_id)
    assert (comment.text, comment.author_followers, comment.author_verified) == ("", None, False)
    assert IntentResult.objects.get(pk=comment.pk).score == 85


def test_an_erasure_is_all_or_nothing(everything, monkeypatch):
    before = columns_with(NAME, TEXT)

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("dmtrigger.privacy.refusals.forget_persons", fail)
    with pytest.raises(ZeroDivisionError):
        erase_person(SOURCE, NAME, "olga")
    assert columns_with(NAME, TEXT) == before


def test_an_erasure_is_noted_without_the_name(everything):
    erased = erase_person(SOURCE, NAME, "olga")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.actor, entry.action) == ("olga", "erase person")
    assert entry.target == people.in_audit(SOURCE, NAME)
    assert entry.details == erased.counts


def test_erasing_again_finds_nothing(everything):
    erase_person(SOURCE, NAME, "olga")
    again = erase_person(SOURCE, NAME, "olga").counts
    assert again == {"comments": 0, "reviews": 0, "messages": 0, "refusals": 0, "wishes": 1}


# --- nobody is written to ---------------------------------------------------------------------


@pytest.mark.parametrize("wish", ["opted out", "blocked"])
def test_who_wanted_no_messages_is_still_not_written_to(wish):
    if wish == "blocked":
        people.block(SOURCE, NAME, "olga")
    else:
        people.opt_out(SOURCE, NAME, Person.By.REPLY)
    erase_person(SOURCE, NAME, "olga")
    CampaignFactory()
    back = IntentResultFactory(comment__author=NAME)
    rules = {refused.rule for refused in draft(back).refused}
    assert Rule.BLOCKED in rules if wish == "blocked" else Rule.OPTED_OUT in rules
    other = IntentResultFactory(comment__author="grace")
    assert draft(other).refused == []


def test_a_wish_holds_after_the_key_was_changed(settings):
    people.opt_out(SOURCE, NAME, Person.By.REPLY)
    erase_person(SOURCE, NAME, "olga")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    assert people.contact(SOURCE, NAME, timezone.now()).opted_out


def test_who_wished_nothing_is_forgotten_wholly(operator):
    people.take_over(SOURCE, NAME, operator.pk, "olga")
    people.opt_out(SOURCE, "grace", Person.By.LINK, days=7)
    Person.objects.filter(name="grace").update(opted_out_until=timezone.now() - timedelta(days=1))
    for name in (NAME, "grace"):
        erase_person(SOURCE, name, "olga")
    assert not Person.objects.exists()


def test_of_a_wish_only_the_pseudonym_and_the_wish_are_kept(everything):
    erase_person(SOURCE, NAME, "olga")
    person = Person.objects.get()
    assert person.name == f"erased-{people.pseudonym(SOURCE, NAME)}"
    assert person.opted_out_at is not None
    assert (person.block_reason, person.last_wrote_at) == ("", None)
    assert (person.talking_with, person.talking_until) == (None, None)


def test_who_comes_back_has_the_old_wish_and_can_take_it_back():
    people.opt_out(SOURCE, NAME, Person.By.REPLY)
    erase_person(SOURCE, NAME, "olga")
    people.wrote(SOURCE, NAME, "hello again", timezone.now())
    person = Person.objects.get()
    assert (person.name, people.is_opted_out(person, timezone.now())) == (NAME, True)
    people.opt_in(person.pk, "olga")
    assert not people.contact(SOURCE, NAME, timezone.now()).opted_out


def test_the_link_of_a_message_still_opts_out_after_the_erasure():
    message = DirectMessageFactory(review__intent__comment__author=NAME, state=State.SENT)
    erase_person(SOURCE, NAME, "olga")
    message.refresh_from_db()
    people.opt_out(SOURCE, message.recipient, Person.By.LINK)
    assert people.contact(SOURCE, NAME, timezone.now()).opted_out
    entry = AuditEntry.objects.get(action="opt out")
    assert entry.target == people.in_audit(SOURCE, NAME)


def test_the_cool_down_outlives_the_erasure():
    DirectMessageFactory(
        review__intent__comment__author=NAME, state=State.SENT, sent_at=timezone.now()
    )
    erase_person(SOURCE, NAME, "olga")
    CampaignFactory()
    rules = {r.rule for r in draft(IntentResultFactory(comment__author=NAME)).refused}
    assert Rule.COOL_DOWN in rules


def test_what_waits_is_taken_back_and_told_without_the_person(endpoint):
    message = DirectMessageFactory(review__intent__comment__author=NAME, text=f"Hi {NAME}")
    erase_person(SOURCE, NAME, "olga")
    message.refresh_from_db()
    assert (message.state, message.next_attempt_at) == (State.CANCELLED, None)
    assert outbox.deliver_next() is None
    told = WebhookDelivery.objects.get().payload
    assert (told["type"], told["data"]["id"]) == ("message.cancelled", message.pk)
    assert NAME not in json.dumps(told)


def test_an_unknown_outcome_stays_and_is_not_asked_about_again(fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author=NAME)
    message = DirectMessageFactory(
        review__intent__comment__external_id=comment["id"],
        review__intent__comment__author=NAME,
        state=State.UNKNOWN,
        maybe_delivered=True,
    )
    erase_person(SOURCE, NAME, "olga")
    assert outbox.deliver_next() is None
    assert outbox.confirm(message.comment_id, f"mid.{NAME}")
    message.refresh_from_db()
    assert (message.state, message.platform_message_id) == (State.SENT, "")


@pytest.mark.parametrize(
    ("kind", "state"),
    [(Kind.SENT, State.SENT), (Kind.REFUSED, State.FAILED), (Kind.UNKNOWN, State.UNKNOWN)],
)
def test_what_is_being_sent_meanwhile_ends_without_the_person(kind, state):
    message = being_sent()
    erase_person(SOURCE, NAME, "olga")
    outbox._record(message.log.get(), Outcome(kind, f"to {NAME}", f"mid.{NAME}"))
    message.refresh_from_db()
    assert message.state == state
    assert columns_with(NAME) == set()


def test_what_was_not_delivered_meanwhile_is_not_tried_again(fake_platform):
    message = being_sent()
    erase_person(SOURCE, NAME, "olga")
    outbox._record(message.log.get(), Outcome(Kind.NOT_DELIVERED, "refused"))
    DirectMessage.objects.update(next_attempt_at=timezone.now())
    outbox.deliver_next()
    message.refresh_from_db()
    assert message.state == State.SUPPRESSED
    assert fake_platform.store.messages() == []


def being_sent() -> DirectMessage:
    """A message whose worker is at it."""
    message = DirectMessageFactory(
        review__intent__comment__author=NAME,
        state=State.SENDING,
        attempts=1,
        claimed_at=timezone.now(),
    )
    DeliveryAttempt.objects.create(message=message, number=1, account=message.account)
    return message


def test_a_review_that_waits_is_closed_and_cannot_be_approved(operator):
    CampaignFactory()
    review = ReviewFactory(intent__comment__author=NAME)
    erase_person(SOURCE, NAME, "olga")
    review.refresh_from_db()
    assert review.status == Review.Status.REJECTED
    with pytest.raises(AlreadyDecided):
        decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
    assert not DirectMessage.objects.exists()


def test_a_comment_that_waits_is_not_analysed():
    comment = CommentFactory(author=NAME)
    erase_person(SOURCE, NAME, "olga")
    comment.refresh_from_db()
    assert comment.analyzed_at is not None


def test_an_erased_comment_that_is_fetched_again_is_not_stored_again():
    item = {"id": "c-1", "text": TEXT, "author": NAME, "timestamp": "2024-01-25T10:30:00Z"}
    ingest([item], source=SOURCE, post_id="p")
    erase_person(SOURCE, NAME, "olga")
    assert ingest([item], source=SOURCE, post_id="p").duplicates == 1
    assert SeenComment.objects.filter(external_id="c-1").exists()
    assert columns_with(NAME, TEXT) == set()


@pytest.mark.django_db(transaction=True)
def test_a_decision_under_way_ends_first_and_is_erased_too(operator):
    """The approval holds its review; the erasure waits for it and finds its message."""
    CampaignFactory()
    review = ReviewFactory(intent__comment__author=NAME)

    def erase() -> None:
        try:
            erase_person(SOURCE, NAME, "olga")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            decide(review.pk, Review.Status.APPROVED, user_id=operator.pk)
            erasing = pool.submit(erase)
            wait_until_somebody_waits()
        erasing.result(timeout=10)
    assert DirectMessage.objects.get().state == State.CANCELLED
    assert columns_with(NAME) == set()


# --- what there is ----------------------------------------------------------------------------


def test_the_export_has_everything(everything):
    document = json.loads(json.dumps(export_person(SOURCE, NAME, "olga"), default=str))
    assert {comment["text"] for comment in document["comments"]} == {TEXT}
    assert document["analyses"][0]["score"] == 85
    assert document["failed_analyses"][0]["reason"].endswith(TEXT)
    assert document["reviews"][0]["note"] == f"{NAME} is nice"
    [message] = document["messages"]
    assert TEXT in message["text"]
    assert (len(message["events"]), len(message["log"])) == (1, 1)
    assert message["clicks"][0]["user_agent"] == NAME
    assert message["conversions"][0]["order_id"] == "o-1"
    assert [told["endpoint__name"] for told in message["told_to"]] == ["crm"]
    assert document["refusals"][0]["rule"] == Rule.COOL_DOWN
    assert document["wishes"][0]["block_reason"] == f"{NAME} shouted"
    assert {"block", "take over", "opt out", "export person"} == {
        entry["action"] for entry in document["audit_log"]
    }


def test_every_table_with_the_name_or_the_text_is_in_the_export(everything):
    """What is not exported is only a repetition."""
    tables = {column.split(".")[0] for column in columns_with(NAME, TEXT)}
    assert tables == {
        "comments_comment",
        "intents_intentresult",
        "intents_review",
        "intents_analysisfailure",
        "dmtrigger_directmessage",
        "dmtrigger_messageevent",
        "dmtrigger_deliveryattempt",
        "dmtrigger_click",
        "dmtrigger_refusal",
        "dmtrigger_person",
        "dmtrigger_webhookdelivery",
        "django_admin_log",  # the repetition, for the operators
        "comments_idempotentcall",  # and that for clients that call again
    }


def test_the_export_of_a_stranger_is_empty():
    document = export_person(SOURCE, "nobody", "olga")
    lists = [
        value for key, value in document.items() if key not in ("source", "name", "exported_at")
    ]
    assert [rows for rows in lists if rows] == [document["audit_log"]]


# --- commands, console, API -------------------------------------------------------------------


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, "--name", NAME, *arguments, stdout=out)
    return out.getvalue()


def test_the_export_command_writes_json(everything):
    document = json.loads(run("export_person"))
    assert document["messages"][0]["recipient"] == NAME


def test_the_erase_command_erases_and_says_how_much(everything):
    said = run("erase_person", "--yes")
    assert "messages: 1" in said
    assert columns_with(NAME, TEXT) == set()


@pytest.mark.parametrize(
    ("answer", "erased"), [("y", True), ("yes", True), ("", False), ("n", False)]
)
def test_the_erase_command_asks_first(everything, monkeypatch, answer, erased):
    monkeypatch.setattr("builtins.input", lambda _: answer)
    if erased:
        run("erase_person")
    else:
        with pytest.raises(CommandError) as refused:
            run("erase_person")
        assert refused.value.returncode == 1
    assert (columns_with(NAME) == set()) is erased


def test_the_erase_command_does_nothing_when_nobody_can_answer(everything, monkeypatch):
    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(CommandError):
        run("erase_person")
    assert columns_with(NAME)


LIST = "/admin/dmtrigger/person/"


@pytest.fixture
def clerk(client, operator) -> Iterator[Any]:
    """Somebody who may see people and erase them."""
    names = ("view_person", "erase_person")
    operator.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(operator)
    return client


def act(client, action: str, **more: str) -> Any:
    keys = list(Person.objects.values_list("pk", flat=True))
    return client.post(LIST, {"action": action, "_selected_action": keys} | more)


def test_the_console_asks_before_it_erases(clerk, everything):
    page = act(clerk, "erase_selected").content.decode()
    assert NAME in page
    assert columns_with(NAME)
    act(clerk, "erase_selected", confirmed="yes")
    assert columns_with(NAME, TEXT) == set()
    assert AuditEntry.objects.latest("pk").actor == "olga"


def test_the_console_hands_out_what_is_stored(clerk, everything):
    answer = act(clerk, "export_selected")
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer.json()[0]["comments"][0]["author"] == NAME


@pytest.mark.parametrize("action", ["erase_selected", "export_selected"])
def test_the_console_needs_the_permission(client, operator, everything, action):
    operator.user_permissions.set(Permission.objects.filter(codename="view_person"))
    client.force_login(operator)
    act(client, action, confirmed="yes")
    assert columns_with(NAME)
    assert not AuditEntry.objects.filter(action__in=["export person", "erase person"]).exists()


DATA = f"/people/{SOURCE}/{NAME}/data"


def test_the_api_shows_and_erases(api_of, everything):
    api = api_of("dmtrigger.erase_person")
    assert api.get(DATA).json()["comments"][0]["text"] == TEXT
    answer = api.delete(DATA).json()
    assert answer["erased"]["messages"] == 1
    assert erasure_of(answer["confirmation_code"]) is not None
    assert api.get(DATA).json()["comments"][0]["text"] == ""
    assert columns_with(NAME, TEXT) == set()


@pytest.mark.parametrize("method", ["get", "delete"])
def test_the_api_needs_the_permission(api_of, everything, method):
    nobody = api_of("dmtrigger.view_person", "dmtrigger.view_directmessage")
    assert getattr(nobody, method)(DATA).status_code == 403
    assert columns_with(NAME)


@pytest.mark.parametrize("name", ["a/b", "a%20b", "%C3%A4", "a%00b"])
def test_the_api_takes_any_name(api_of, name):
    answer = api_of("dmtrigger.erase_person").get(f"/people/{SOURCE}/{name}/data")
    assert answer.status_code == 200


# --- a platform's own request -----------------------------------------------------------------

CALLBACK = "/webhooks/data-deletion"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def signed(secret: str = SECRET, **said: Any) -> str:
    """A request as Meta's documents describe it."""
    payload = encoded(json.dumps({"algorithm": "HMAC-SHA256", "issued_at": 1} | said).encode())
    return f"{encoded(hmac.digest(secret.encode(), payload.encode(), 'sha256'))}.{payload}"


@pytest.fixture
def stranger(client, settings):
    settings.DATA_DELETION_SECRET = SECRET
    settings.PUBLIC_URL = "https://shop.example"
    client.handler.enforce_csrf_checks = True
    return client


def test_a_platform_has_a_persons_data_erased(stranger, everything):
    answer = stranger.post(CALLBACK, {"signed_request": signed(user_id=NAME)})
    assert answer.status_code == 200
    code = answer.json()["confirmation_code"]
    assert code.isalnum()
    assert answer.json()["url"] == f"https://shop.example{CALLBACK}/{code}"
    assert columns_with(NAME, TEXT) == set()
    page = stranger.get(f"{CALLBACK}/{code}").content.decode()
    assert page.startswith("The data was erased on ")


def test_a_request_for_somebody_unknown_is_answered_too(stranger):
    code = stranger.post(CALLBACK, {"signed_request": signed(user_id=4711)}).json()
    page = stranger.get(f"{CALLBACK}/{code['confirmation_code']}").content.decode()
    assert page.startswith("Nothing was stored of this person")


@pytest.mark.parametrize(
    "request_text",
    [
        "",
        ".",
        "nonsense",
        "ä.ö",
        signed("another secret", user_id=NAME),
        signed(user_id=NAME)[:-2],
        "." + signed(user_id=NAME).partition(".")[2],
        signed(),
        signed(user_id=[NAME]),
        signed(user_id=NAME, algorithm="none"),
        signed(user_id=NAME, algorithm=7),
    ],
)
def test_what_the_platform_did_not_sign_erases_nothing(stranger, everything, request_text):
    assert stranger.post(CALLBACK, {"signed_request": request_text}).status_code == 403
    assert columns_with(NAME)


def test_without_a_secret_nobody_is_heard(stranger, settings, everything):
    settings.DATA_DELETION_SECRET = ""
    assert stranger.post(CALLBACK, {"signed_request": signed("", user_id=NAME)}).status_code == 403
    assert columns_with(NAME)


@pytest.mark.parametrize("forged", ["1", "0" * 16 + "1", "x" * 40, "0" * 16 + "9" * 400])
def test_a_code_that_is_not_ours_says_nothing(stranger, forged):
    assert stranger.get(f"{CALLBACK}/{forged}").status_code == 403


def test_a_code_of_another_entry_says_nothing(stranger, settings):
    people.block(SOURCE, NAME, "olga")
    entry = AuditEntry.objects.get()
    code = privacy._code(settings.SECRET_KEY, entry.pk)
    assert stranger.get(f"{CALLBACK}/{code}").status_code == 403
