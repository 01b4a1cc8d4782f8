"""Every change of a message's state is told, signed, at least once, and holds up nothing."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from dmtrigger import endpoints, outbox, tasks, webhooks
from dmtrigger.endpoints import NotAllowed, Reply, check_url, post
from dmtrigger.models import AuditEntry, DirectMessage, WebhookDelivery, WebhookEndpoint
from dmtrigger.signing import new_secret
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db
State = WebhookDelivery.State
DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


class Receiver:
    """A system that is told; it answers as it is set up to, and keeps what it was sent."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.answer = b"thank you"
        self.seconds = 0.0
        self.before: Callable[[], object] = lambda: None

    def events(self, secret: str) -> list[dict[str, Any]]:
        """What came, each checked with the library that receivers use."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.received]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Running() as receiver:
        yield receiver


class Running:
    """A receiver over real HTTP."""

    def __enter__(self) -> Receiver:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told.received.append((dict(self.headers.items()), body))
                told.before()
                time.sleep(told.seconds)
                self.send_response(told.status)
                self.send_header("Location", told.url)
                self.send_header("Content-Length", str(len(told.answer)))
                self.end_headers()
                self.wfile.write(told.answer)

            def log_message(self, *_: object) -> None:
                """Not to the tests' output."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128  # many come at once

            def handle_error(self, *_: object) -> None:
                """The caller went away, as it should."""

        self.server = Server(("127.0.0.1", 0), Handler)
        told = Receiver(self.server.server_port)
        self.serving = Thread(target=self.server.serve_forever, args=[0.02])
        self.serving.start()
        return told

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.serving.join()
        self.server.server_close()


def endpoint_of(receiver: Receiver, name: str = "crm", **fields: Any) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(name=name, url=receiver.url, **fields)


@pytest.fixture
def endpoint(receiver) -> WebhookEndpoint:
    return endpoint_of(receiver)


def pending(endpoint: WebhookEndpoint, count: int = 1) -> list[WebhookDelivery]:
    """Deliveries that are due, as a test event has them."""
    return [webhooks.send_test(endpoint) for _ in range(count)]


def make_due() -> None:
    WebhookEndpoint.objects.update(busy_until=None)
    WebhookDelivery.objects.filter(state=State.PENDING).update(next_attempt_at=timezone.now())


def let_the_lease_run_out() -> None:
    """As if the time had gone by."""
    WebhookEndpoint.objects.update(busy_until=F("busy_until") - webhooks.LEASE)
    WebhookDelivery.objects.update(next_attempt_at=F("next_attempt_at") - webhooks.LEASE)


# --- what is told -----------------------------------------------------------------------------


def test_a_sent_message_is_told_step_by_step_and_signed(endpoint, receiver, fake_platform):
    comment = fake_platform.store.add_comment("p1", text="price?", author="ada")
    message = DirectMessageFactory(review__intent__comment__external_id=comment["id"])
    outbox.deliver_next()
    assert tasks.deliver_webhooks() is None
    [told] = receiver.events(endpoint.secret)
    event = message.events.get(state="sent")
    assert (told["type"], told["id"]) == ("message.sent", f"evt_{event.pk}")
    assert told["created_at"] == event.at.isoformat().replace("+00:00", "Z")
    assert (told["data"]["id"], told["data"]["recipient"]) == (message.pk, "ada")
    assert [attempt["outcome"] for attempt in told["data"]["log"]] == ["sent"]
    [(headers, _body)] = receiver.received
    assert headers["webhook-id"] == told["id"]
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.status_code, delivery.attempts) == (State.DELIVERED, 200, 1)
    assert delivery.delivered_at is not None


def test_the_receiver_of_the_docs_takes_it_once_and_refuses_others(endpoint, receiver):
    [code] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    handled: list[str] = []
    program: dict[str, Any] = {
        "is_new": lambda _id: not handled,
        "handle": lambda kind, _data: handled.append(kind),
    }
    exec(code, program)  # noqa: S102 - our own
    program["SECRET"] = endpoint.secret
    outbox.cancel(DirectMessageFactory().pk, "olga")
    webhooks.deliver_next()
    [(headers, body)] = receiver.received
    answers = [program["receive"](headers, told) for told in (body, body, body + b" ")]
    assert answers == [204, 204, 401]
    assert handled == ["message.cancelled"]


def test_another_secret_does_not_verify(endpoint, receiver):
    pending(endpoint)
    webhooks.deliver_next()
    with pytest.raises(WebhookVerificationError):
        receiver.events(new_secret())


def test_the_secret_is_in_no_payload(endpoint, receiver):
    outbox.cancel(DirectMessageFactory(campaign__endpoint=endpoint).pk, "olga")
    webhooks.deliver_next()
    [(_headers, body)] = receiver.received
    assert endpoint.secret.removeprefix("whsec_") not in body.decode()


def test_what_is_undone_is_not_told(endpoint):
    message = DirectMessageFactory()
    with transaction.atomic():
        outbox.cancel(message.pk, "olga")
        transaction.set_rollback(True)
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("off", [{"is_active": False}, {"hears_events": False}])
def test_who_does_not_listen_is_told_nothing(receiver, off):
    endpoint_of(receiver, **off)
    outbox.cancel(DirectMessageFactory().pk, "olga")
    assert not WebhookDelivery.objects.exists()


def test_the_commit_wakes_a_worker(endpoint, monkeypatch, django_capture_on_commit_callbacks):
    woken = []
    monkeypatch.setattr(webhooks, "wake", lambda task, seconds: woken.append((task.name, seconds)))
    message = DirectMessageFactory()
    with django_capture_on_commit_callbacks(execute=True):
        outbox.cancel(message.pk, "olga")
        assert woken == []
    assert woken == [("deliver_webhooks", 0.0)]


# --- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [
        (1, timedelta(seconds=5)),
        (2, timedelta(minutes=5)),
        (3, timedelta(minutes=30)),
        (4, timedelta(hours=2)),
        (5, timedelta(hours=5)),
        (6, timedelta(hours=10)),
        (7, timedelta(hours=14)),
        (8, timedelta(hours=20)),
        (9, timedelta(hours=24)),
        (10, None),
        (99, None),
    ],
)
def test_the_wait_after_each_failure(attempts, delay):
    assert webhooks.delay_after(attempts) == delay


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_a_refused_event_is_tried_again_and_then_given_up(endpoint, receiver, status):
    receiver.status = status
    pending(endpoint)
    for attempt in range(1, len(webhooks.SCHEDULE) + 2):
        before = timezone.now()
        assert webhooks.deliver_next() == 1
        delivery = WebhookDelivery.objects.get()
        assert (delivery.attempts, delivery.last_error) == (attempt, f"HTTP {status}")
        if attempt <= len(webhooks.SCHEDULE):
            assert delivery.next_attempt_at is not None
            assert delivery.next_attempt_at >= before + webhooks.SCHEDULE[attempt - 1]
            assert webhooks.deliver_next() is None  # not before it is due
            make_due()
    assert (delivery.state, delivery.next_attempt_at) == (State.FAILED, None)
    assert webhooks.deliver_next() is None
    assert len(receiver.received) == 10  # and no redirect was followed


def test_every_attempt_has_the_same_id_and_a_time_of_its_own(endpoint, receiver):
    receiver.status = 500
    pending(endpoint)
    webhooks.deliver_next()
    time.sleep(1.01)  # the time is in whole seconds
    make_due()
    webhooks.deliver_next()
    first, second = (headers for headers, _body in receiver.received)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) > int(first["webhook-timestamp"])


def test_an_event_that_was_refused_is_delivered_later(endpoint, receiver):
    receiver.status = 500
    pending(endpoint)
    webhooks.deliver_next()
    receiver.status = 204
    receiver.answer = b""
    make_due()
    webhooks.deliver_next()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_error, delivery.attempts) == (State.DELIVERED, "", 2)


def test_gone_switches_the_endpoint_off(endpoint, receiver):
    receiver.status = 410
    pending(endpoint, 3)
    webhooks.deliver_next()
    endpoint.refresh_from_db()
    assert not endpoint.is_active
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {State.FAILED}
    assert AuditEntry.objects.get().target == f"webhook endpoint {endpoint.pk}"
    outbox.cancel(DirectMessageFactory().pk, "olga")
    assert WebhookDelivery.objects.count() == 3


def test_a_receiver_that_is_away_costs_an_attempt(endpoint):
    WebhookEndpoint.objects.update(url="http://127.0.0.1:9/hook")
    pending(endpoint)
    webhooks.deliver_next()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.status_code) == (State.PENDING, None)
    assert "ConnectError" in delivery.last_error


def test_an_answer_that_does_not_end_is_cut_off(receiver, monkeypatch):
    monkeypatch.setattr(endpoints, "POST_SECONDS", 0.2)
    receiver.seconds = 2
    began = time.monotonic()
    reply = post(receiver.url, new_secret(), "evt_1", "{}")
    assert reply.status is None
    assert "no complete answer" in reply.error
    assert time.monotonic() - began < 1


def test_a_long_answer_is_not_read(receiver):
    receiver.answer = b"x" * (endpoints.MOST_ANSWER_BYTES + 1)
    assert "larger than" in post(receiver.url, new_secret(), "evt_1", "{}").error


def test_what_a_receiver_says_is_not_kept(endpoint, receiver):
    receiver.status, receiver.answer = 500, b"no ada here"
    pending(endpoint)
    webhooks.deliver_next()
    assert WebhookDelivery.objects.get().last_error == "HTTP 500"


# --- several workers, and one that dies -------------------------------------------------------


class WorkerKilled(BaseException):
    """As if the process had ended at this line."""


def die(*_: Any, **__: Any) -> None:
    raise WorkerKilled


@pytest.mark.parametrize("killed_before", ["_send", "_record"])
def test_a_dead_workers_claim_is_taken_up_again(endpoint, receiver, monkeypatch, killed_before):
    pending(endpoint, 2)
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, killed_before, die)
        with pytest.raises(WorkerKilled):
            webhooks.deliver_next()
    assert webhooks.deliver_next() is None  # it may still be at it
    let_the_lease_run_out()
    assert webhooks.deliver_next() == 2
    assert set(WebhookDelivery.objects.values_list("state", "attempts")) == {(State.DELIVERED, 2)}


def test_an_event_that_kills_every_worker_is_given_up(endpoint, monkeypatch, receiver):
    pending(endpoint)
    for _attempt in range(len(webhooks.SCHEDULE)):
        with monkeypatch.context() as patch:
            patch.setattr(webhooks, "_send", die)
            with pytest.raises(WorkerKilled):
                webhooks.deliver_next()
        make_due()
    receiver.status = 500
    webhooks.deliver_next()
    assert WebhookDelivery.objects.get().state == State.FAILED


def claimed() -> webhooks.Claim:
    claim = webhooks._claim()
    assert claim is not None
    return claim


@pytest.mark.parametrize(
    ("reply", "state"), [(Reply(200), State.DELIVERED), (Reply(500, "HTTP 500"), State.PENDING)]
)
def test_of_a_late_report_only_the_good_news_counts(endpoint, reply, state):
    pending(endpoint)
    late = claimed()
    let_the_lease_run_out()
    current = claimed()
    webhooks._record(late, [reply], 0.1)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.last_error) == (state, "")
    endpoint.refresh_from_db()
    assert endpoint.busy_until == current.until  # and the other's lease stays


def test_good_news_is_not_taken_back(endpoint):
    pending(endpoint)
    claim = claimed()
    webhooks._record(claim, [Reply(200)], 0.1)
    webhooks._record(claim, [Reply(None, "no answer")], 0.1)
    assert WebhookDelivery.objects.get().state == State.DELIVERED


@pytest.mark.django_db(transaction=True)
def test_several_workers_deliver_each_event_once(receiver, monkeypatch):
    monkeypatch.setattr(webhooks, "SLOW_SECONDS", 60)  # this machine may be busy
    for number in range(3):
        pending(endpoint_of(receiver, f"crm {number}"), 30)

    def work() -> None:
        try:
            while webhooks.deliver_next() is not None:
                pass
        finally:
            connection.close()

    for _round in range(5):  # a worker that finds all endpoints busy goes home
        with ThreadPoolExecutor(4) as pool:
            for task in [pool.submit(work) for _ in range(4)]:
                task.result()
    ids = [headers["webhook-id"] for headers, _body in receiver.received]
    assert len(ids) == len(set(ids)) == 90
    assert not WebhookDelivery.objects.exclude(state=State.DELIVERED).exists()


@pytest.mark.django_db(transaction=True)
def test_a_slow_endpoint_holds_up_no_other(receiver):
    with Running() as slow:
        slow_one, fast_one = endpoint_of(slow, "slow"), endpoint_of(receiver, "fast")
        pending(slow_one, 30)
        let_go = Event()
        slow.before = lambda: let_go.wait(9)

        def work() -> None:
            webhooks.deliver_next()
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(work)
            while not slow.received:
                time.sleep(0.01)
            pending(fast_one, 12)
            while webhooks.deliver_next() is not None:  # nobody waits for the slow one here
                pass
            assert not busy.done()
            let_go.set()
            busy.result()
    assert len(receiver.received) == 12
    assert len(slow.received) <= webhooks.BATCH


def test_a_slow_endpoint_gets_a_rest(endpoint):
    pending(endpoint, webhooks.BATCH + 1)
    claim = claimed()
    webhooks._record(claim, [Reply(200)] * webhooks.BATCH, seconds=8.0)
    endpoint.refresh_from_db()
    assert endpoint.busy_until > timezone.now() + timedelta(seconds=31)
    assert webhooks.deliver_next() is None


def test_the_endpoint_that_waits_for_longest_is_next(receiver):
    first, second = endpoint_of(receiver, "first"), endpoint_of(receiver, "second")
    pending(first, 2 * webhooks.BATCH)
    pending(second)
    assert [claimed().endpoint.name for _ in range(2)] == ["first", "second"]
    make_due()
    WebhookEndpoint.objects.filter(pk=first.pk).update(busy_until=timezone.now())
    assert claimed().endpoint == second


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_claims_keeps_nobody_from_storing_an_event(endpoint):
    pending(endpoint)
    message = DirectMessageFactory()

    def cancel() -> None:
        try:
            outbox.cancel(message.pk, "olga")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            claimed()
            storing = pool.submit(cancel)
            storing.result(timeout=5)
        assert WebhookDelivery.objects.count() == 2


# --- where it may go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/hook",
        "https://10.0.0.7:8443/hook",
        "https://[fd00::7]/hook",
        "http://localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]:8080/",
    ],
)
def test_an_address_that_may_be_told(url):
    check_url(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://crm.example/hook", "must be https"),
        ("http://10.0.0.7/hook", "must be https"),
        ("http://localhost.evil.example/", "must be https"),
        ("ftp://crm.example/", "begin with https"),
        ("https://olga:secret@crm.example/", "password"),
        ("https://169.254.169.254/latest/meta-data/", "link-local"),
        ("https://[fe80::1]/", "link-local"),
        ("https://[::ffff:169.254.169.254]/", "link-local"),
        ("https://[fd00:ec2::254]/", "link-local"),
        ("nonsense", "begin with https"),
    ],
)
def test_an_address_that_may_not(url, why):
    with pytest.raises(NotAllowed, match=why):
        check_url(url)
    with pytest.raises(ValidationError, match=why):
        WebhookEndpoint(name="crm", url=url).clean()
    assert why in post(url, new_secret(), "evt_1", "{}").error


def test_plain_http_is_for_debugging(settings):
    settings.DEBUG = True
    check_url("http://crm.example/hook")


def stands_for(monkeypatch, *addresses: str) -> None:
    """Have every name stand for these."""
    found = [(0, 0, 0, "", (address, 443)) for address in addresses]
    monkeypatch.setattr("dmtrigger.endpoints.socket.getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["10.0.0.1", "fe80::1%eth0"]])
def test_a_name_that_stands_for_a_link_local_address_is_refused(monkeypatch, addresses):
    stands_for(monkeypatch, *addresses)
    reply = post("https://crm.example/", new_secret(), "evt_1", "{}")
    assert (reply.status, "link-local" in reply.error) == (None, True)


def test_the_next_address_is_asked_when_the_first_cannot_be_reached(
    monkeypatch, receiver, settings
):
    settings.DEBUG = True
    stands_for(monkeypatch, "127.0.0.2", "127.0.0.1")  # the receiver listens on the second
    url = receiver.url.replace("127.0.0.1", "crm.example")
    assert post(url, new_secret(), "evt_1", "{}") == Reply(200)
    [(headers, _body)] = receiver.received
    assert headers["Host"].startswith("crm.example:")


def test_a_host_that_there_is_not_is_a_failure():
    assert "not known" in post("https://crm.invalid/", new_secret(), "evt_1", "{}").error


def test_a_secret_that_signs_nothing_is_a_failure(receiver):
    assert "whsec_" in post(receiver.url, "", "evt_1", "{}").error


# --- secrets, the console ---------------------------------------------------------------------


def test_the_database_holds_no_plain_secret(endpoint):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM dmtrigger_webhookendpoint")
        [(stored,)] = cursor.fetchall()
    assert endpoint.secret.startswith("whsec_")
    assert endpoint.secret not in stored
    assert endpoint.secret.removeprefix("whsec_") not in stored
    assert WebhookEndpoint.objects.get().secret == endpoint.secret


LIST = "/admin/dmtrigger/webhookendpoint/"


def act(client, model: str, action: str, *keys: int) -> Any:
    data = {"action": action, "_selected_action": keys}
    return client.post(f"/admin/dmtrigger/{model}/", data, follow=True)


def test_the_secret_is_shown_once(admin_client):
    data = {"name": "crm", "url": "https://crm.example/", "is_active": "on", "hears_events": "on"}
    page = admin_client.post(f"{LIST}add/", data).content.decode()
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret in page
    for later in (LIST, f"{LIST}{endpoint.pk}/change/", f"{LIST}{endpoint.pk}/history/"):
        shown = admin_client.get(later).content.decode()
        assert endpoint.secret not in shown
        assert endpoint.secret.removeprefix("whsec_")[:10] not in shown
    assert f"whsec_…{endpoint.secret[-4:]}" in admin_client.get(LIST).content.decode()


def test_a_bad_address_is_refused_in_the_form(admin_client):
    data = {"name": "crm", "url": "https://169.254.169.254/", "is_active": "on"}
    page = admin_client.post(f"{LIST}add/", data).content.decode()
    assert "link-local" in page
    assert not WebhookEndpoint.objects.exists()


def test_an_edit_leaves_the_secret_and_the_lease_alone(admin_client, endpoint):
    until = timezone.now() + timedelta(minutes=1)
    WebhookEndpoint.objects.update(busy_until=until)
    data = {"name": "other", "url": endpoint.url, "is_active": "on"}
    admin_client.post(f"{LIST}{endpoint.pk}/change/", data)
    edited = WebhookEndpoint.objects.get()
    assert (edited.name, edited.hears_events) == ("other", False)
    assert (edited.secret, edited.busy_until) == (endpoint.secret, until)


def test_a_new_secret_replaces_the_old_one(admin_client, endpoint, receiver):
    page = act(admin_client, "webhookendpoint", "rotate_secret", endpoint.pk).content.decode()
    renewed = WebhookEndpoint.objects.get()
    assert renewed.secret != endpoint.secret
    assert renewed.secret in page
    entry = AuditEntry.objects.get()
    assert entry.target == f"webhook endpoint {endpoint.pk}"
    assert renewed.secret not in json.dumps(entry.details)
    pending(renewed)
    webhooks.deliver_next()
    assert receiver.events(renewed.secret)


def test_a_test_event_is_sent(admin_client, endpoint, receiver):
    act(admin_client, "webhookendpoint", "send_test", endpoint.pk)
    webhooks.deliver_next()
    [told] = receiver.events(endpoint.secret)
    assert told["type"] == "test"
    assert "test" in admin_client.get("/admin/dmtrigger/webhookdelivery/").content.decode()


def test_a_failed_event_is_delivered_again(admin_client, endpoint, receiver):
    [delivery] = pending(endpoint)
    WebhookDelivery.objects.update(state=State.FAILED, next_attempt_at=None, attempts=10)
    act(admin_client, "webhookdelivery", "deliver_again", delivery.pk)
    webhooks.deliver_next()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 1)


def test_to_deliver_again_needs_its_permission(client, operator, endpoint):
    [delivery] = pending(endpoint)
    WebhookDelivery.objects.update(state=State.FAILED)
    client.force_login(operator)
    assert act(client, "webhookdelivery", "deliver_again", delivery.pk).status_code == 403
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED


def test_what_was_switched_off_is_left_alone(admin_client, endpoint):
    [delivery] = pending(endpoint)
    WebhookDelivery.objects.update(state=State.FAILED)
    WebhookEndpoint.objects.update(is_active=False)
    page = act(admin_client, "webhookdelivery", "deliver_again", delivery.pk).content.decode()
    assert "switched off: 1" in page
    delivery.refresh_from_db()
    assert delivery.state == State.FAILED


def test_a_message_is_never_announced_twice_to_an_endpoint(endpoint):
    message = DirectMessageFactory()
    outbox.cancel(message.pk, "olga")
    assert WebhookDelivery.objects.count() == DirectMessage.objects.get().events.count() == 1
