"""Sales come in signed, exactly, and each order once."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from comments.parsing import FieldError
from dmtrigger import conversions, links
from dmtrigger.models import Conversion, DirectMessage
from dmtrigger.signing import new_secret
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db

SECRET = new_secret()
AT = "2026-01-31T10:30:00Z"


@pytest.fixture(autouse=True)
def secret(settings) -> None:
    settings.CONVERSIONS_SECRET = SECRET


@pytest.fixture
def message() -> DirectMessage:
    return DirectMessageFactory()


@pytest.fixture
def token(message) -> str:
    return links.token_of(message.comment_id)


def sale(token: str, **changes: Any) -> dict[str, Any]:
    return {
        "token": token,
        "order_id": "A-1",
        "value": "49.90",
        "currency": "EUR",
        "at": AT,
    } | changes


def signed(body: bytes, *, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body.decode("latin-1")),
    }


def post(body: Any, headers: dict[str, str] | None = None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(
        "/conversions", content, "application/json", headers=headers or signed(content)
    )


# Who may tell -----------------------------------------------------------------------------------


def test_a_signed_sale_is_stored_with_its_message(message, token):
    answer = post(sale(token))
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "success",
        "stored": 1,
        "known": 0,
        "kept": [],
        "rejected": [],
    }
    stored = Conversion.objects.get()
    assert (stored.message, stored.order_id) == (message, "A-1")
    assert (stored.value, stored.currency) == (Decimal("49.90"), "EUR")
    assert stored.at == datetime.fromisoformat(AT)


def test_without_a_secret_nobody_is_let_in(token, settings):
    settings.CONVERSIONS_SECRET = ""
    body = json.dumps(sale(token)).encode()
    assert post(body, signed(body)).status_code == 403
    assert not Conversion.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,ä"},
        {"webhook-signature": "nonsense without commas"},
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": "yesterday"},
        {"webhook-timestamp": "nan"},
    ],
)
def test_a_wrong_signature_is_refused(token, change):
    body = json.dumps(sale(token)).encode()
    assert post(body, signed(body) | change).status_code == 403
    assert not Conversion.objects.exists()


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_call_without_its_headers_is_refused(token, missing):
    body = json.dumps(sale(token)).encode()
    headers = {name: value for name, value in signed(body).items() if name != missing}
    assert post(body, headers).status_code == 403


def test_another_secret_is_none(token):
    body = json.dumps(sale(token)).encode()
    assert post(body, signed(body, secret=new_secret())).status_code == 403


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_call_cannot_be_sent_again(token, minutes):
    body = json.dumps(sale(token)).encode()
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    assert post(body, signed(body, at=at)).status_code == 403


def test_the_signature_is_of_the_bytes_as_they_came(token):
    body = json.dumps(sale(token)).encode()
    assert post(body + b" ", signed(body)).status_code == 403
    assert post(body.replace(b"49.90", b"49.91"), signed(body)).status_code == 403


def test_a_body_that_is_no_text_is_refused():
    assert post(b"\xff\xfe", signed(b"{}")).status_code == 403


def test_signed_calls_have_no_limit_and_strangers_have(token, settings):
    settings.RATE_LIMIT_PER_MINUTE = 2
    body = json.dumps(sale(token)).encode()
    assert [post(body, {"webhook-id": "x"}).status_code for _ in range(3)] == [403, 403, 429]
    assert [post(body).status_code for _ in range(4)] == [200] * 4


# What is told -----------------------------------------------------------------------------------


def test_telling_an_order_again_changes_nothing(token):
    post(sale(token))
    before = Conversion.objects.values().get()
    answer = post(
        sale(token, value=49.9, at="2026-01-31T11:30:00+01:00")
    )  # the same, otherwise put
    assert (answer.status_code, answer.json()["known"]) == (200, 1)
    assert Conversion.objects.values().get() == before


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"value": "50"}, "value", "49.90"),
        ({"currency": "USD"}, "currency", "EUR"),
        ({"at": "2026-01-31T10:30:01Z"}, "at", "2026-01-31T10:30:00"),
    ],
)
def test_an_order_told_otherwise_stays_as_it_was_first_and_says_so(token, change, field, says):
    post(sale(token))
    answer = post(sale(token, **change))
    [kept] = answer.json()["kept"]
    assert (answer.status_code, kept["index"], kept["id"], kept["field"]) == (200, 0, "A-1", field)
    assert says in kept["reason"]
    assert Conversion.objects.get().value == Decimal("49.90")


def test_an_order_of_another_message_is_not_told_whose_it_is(token):
    post(sale(token))
    other = DirectMessageFactory()
    [kept] = post(sale(links.token_of(other.comment_id))).json()["kept"]
    assert kept["field"] == "token"


def test_of_a_list_each_counts_for_itself(token):
    answer = post(
        [
            sale(token),
            sale(token, order_id="A-2", value="-1"),
            sale("AAAAAAAAAAAAAAAAAAAAAA", order_id="A-3"),
            sale(token, order_id="A-1"),
            sale(token, order_id="A-1", value="1"),
            sale(token, order_id="A-4"),
            sale(links.token_of(1), order_id="A-5"),
            "nonsense",
        ]
    )
    body = answer.json()
    assert (answer.status_code, body["status"]) == (200, "partial")
    assert (body["stored"], body["known"]) == (2, 1)
    assert [(e["index"], e["id"], e["field"]) for e in body["kept"]] == [(4, "A-1", "value")]
    assert [(e["index"], e["id"], e["field"]) for e in body["rejected"]] == [
        (1, "A-2", "value"),
        (2, "A-3", "token"),
        (6, "A-5", "token"),
        (7, None, "item"),
    ]
    assert set(Conversion.objects.values_list("order_id", "value")) == {
        ("A-1", Decimal("49.90")),
        ("A-4", Decimal("49.90")),
    }


def test_a_call_with_nothing_good_in_it_is_a_400(token):
    answer = post(sale(token, currency="eur"))
    assert (answer.status_code, answer.json()["status"]) == (400, "error")


def test_an_empty_list_is_fine():
    assert post([]).json()["stored"] == 0


@pytest.mark.parametrize("body", [b"{", b"", b"[NaN]", b'{"value": Infinity}', b"[" * 100_000])
def test_what_is_not_json_is_a_400(body):
    assert post(body, signed(body)).status_code == 400


def test_too_many_at_once_are_a_413(token):
    assert post([{}] * 5_001).status_code == 413
    large = b" " * (2**21 + 1)
    assert post(large, signed(large)).status_code == 413


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("token", None),
        ("token", 12),
        ("token", ""),
        ("token", "x" * 101),
        ("order_id", None),
        ("order_id", " "),
        ("order_id", "x" * 101),
        ("order_id", "a\x00b"),
        ("order_id", 7),
        ("value", None),
        ("value", True),
        ("value", "a lot"),
        ("value", "1,50"),
        ("value", "-0.01"),
        ("value", Decimal("-0.01")),
        ("value", "1.001"),
        ("value", "10000000000"),
        ("value", Decimal("1e999999999")),
        ("value", Decimal("1e-999999999")),
        ("value", 10**4_000),
        ("value", [1]),
        ("value", "٤٢"),
        ("currency", None),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currency", "EU1"),
        ("currency", "EUR\n"),
        ("at", None),
        ("at", "yesterday"),
        ("at", 1_700_000_000),
        ("at", "1999-12-31T00:00:00Z"),
        ("at", (datetime.now(UTC) + timedelta(days=2)).isoformat()),
    ],
)
def test_a_field_that_cannot_be_used_is_named(token, field, value):
    with pytest.raises(FieldError) as error:
        conversions.parse_sale(sale(token) | {field: value})
    assert error.value.field == field


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("0", "0.00"),
        (0, "0.00"),
        (5_000, "5000.00"),
        ("9999999999.99", "9999999999.99"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+2"), "100.00"),
        ("49.900", "49.90"),
    ],
)
def test_a_value_is_exact(token, value, stored):
    assert str(conversions.parse_sale(sale(token, value=value)).value) == stored


def test_a_number_of_json_is_never_a_float(token):
    body = json.dumps(sale(token)).replace('"49.90"', "9007199254.99").encode()
    post(body)
    assert Conversion.objects.get().value == Decimal("9007199254.99")


def test_the_sale_of_a_message_that_was_erased_is_named(token, message):
    message.delete()
    [rejected] = post(sale(token)).json()["rejected"]
    assert (rejected["field"], rejected["reason"]) == ("token", "is of a message that is no more")


@pytest.mark.django_db(transaction=True)
def test_calls_at_once_store_an_order_once(token):
    def tell(number: int) -> conversions.Report:
        orders = [sale(token, order_id=f"A-{n}") for n in range(20)]
        try:
            return conversions.record(orders if number % 2 else orders[::-1])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(tell, range(8)))
    assert sum(report.stored for report in reports) == Conversion.objects.count() == 20
    assert sum(report.known for report in reports) == 7 * 20


tellings = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["1", "2.50"]), st.sampled_from("XY")),
    max_size=12,
)


@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(tellings, max_size=4))
def test_however_orders_are_told_the_first_telling_counts(token, batches):
    Conversion.objects.all().delete()
    first: dict[str, tuple[Decimal, str]] = {}
    for batch in batches:
        report = conversions.record(
            [sale(token, order_id=o, value=v, currency=c * 3) for o, v, c in batch]
        )
        expected = {"stored": 0, "known": 0, "kept": 0}
        for order_id, value, letter in batch:
            told = (Decimal(value), letter * 3)
            known = first.get(order_id)
            expected["stored" if known is None else "known" if known == told else "kept"] += 1
            first.setdefault(order_id, told)
        assert (report.stored, report.known, len(report.kept)) == tuple(expected.values())
    stored = Conversion.objects.values_list("order_id", "value", "currency")
    assert {order_id: (value, currency) for order_id, value, currency in stored} == first


# Who may look -----------------------------------------------------------------------------------


def test_conversions_are_listed_for_who_may_see_them(api_of, message, token):
    post(sale(token))
    assert api_of("dmtrigger.view_directmessage").get("/conversions").status_code == 403
    [row] = api_of("dmtrigger.view_conversion").get("/conversions").json()["results"]
    assert (row["message"], row["campaign"]) == (message.pk, message.campaign_id)
    assert (row["order_id"], row["value"], row["currency"]) == ("A-1", "49.90", "EUR")


def test_an_account_does_not_replace_the_signature(api_of, token):
    api = api_of("dmtrigger.view_conversion", "dmtrigger.add_conversion")
    assert api.post("/conversions", sale(token), format="json").status_code == 403


def test_lists_in_the_admin_are_read_only(admin_client, token):
    post(sale(token))
    row = Conversion.objects.get()
    for page in ("conversion", "click"):
        assert admin_client.get(f"/admin/dmtrigger/{page}/").status_code == 200
        assert admin_client.get(f"/admin/dmtrigger/{page}/add/").status_code == 403
    assert admin_client.get(f"/admin/dmtrigger/conversion/{row.pk}/change/").status_code == 200
    admin_client.post(f"/admin/dmtrigger/conversion/{row.pk}/delete/", {"post": "yes"})
    assert Conversion.objects.exists()


def test_the_time_a_sale_is_told_is_ours(token):
    post(sale(token))
    assert timezone.now() - Conversion.objects.get().created_at < timedelta(minutes=1)


# The examples of docs/attribution.md ------------------------------------------------------------


@pytest.mark.integration
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("language", "command", "order_id"),
    [("python", [sys.executable, "-"], "A-1001"), ("bash", ["bash", "-eu", "-s"], "A-1002")],
)
def test_the_examples_of_the_guide_work_as_they_stand(
    live_server, message, token, language, command, order_id
):
    if language == "bash" and not (shutil.which("curl") and shutil.which("openssl")):
        pytest.skip("this example needs curl and openssl")
    guide = (Path(__file__).parents[2] / "docs" / "attribution.md").read_text()
    [example] = re.findall(rf"```{language}\n(.*?)```", guide, re.DOTALL)
    environment = {
        "PATH": os.environ["PATH"],
        "THREADSAGENT": live_server.url,
        "TOKEN": token,
        "CONVERSIONS_SECRET": SECRET,
    }
    result = subprocess.run(
        command, input=example, env=environment, capture_output=True, text=True, timeout=60
    )
    assert '"stored":1' in result.stdout, result.stdout + result.stderr
    stored = Conversion.objects.get()
    assert (stored.order_id, stored.message) == (order_id, message)
