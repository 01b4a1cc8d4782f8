"""The page on which who was written to says that they want no more messages."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from dmtrigger import people
from dmtrigger.links import Purpose, opt_out_link, token_of
from dmtrigger.models import AuditEntry, Person
from tests.factories import DirectMessageFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def message():
    return DirectMessageFactory(
        review__intent__comment__author="ada.lovelace", text="Dear ada.lovelace, a link"
    )


@pytest.fixture
def page(message, settings) -> str:
    """The page's path, from the address that is in the message."""
    return opt_out_link(message.comment_id).removeprefix(settings.PUBLIC_URL)


@pytest.mark.parametrize(("choice", "days"), [("7", 7), ("30", 30), ("always", None)])
def test_who_asks_for_it_gets_no_more_messages(client, page, choice, days):
    answer = client.post(page, {"for": choice})
    assert answer.status_code == 200
    assert "You get no more automated messages from us" in answer.content.decode()
    person = Person.objects.get()
    assert (person.source, person.name, person.opted_out_by) == (
        "fake_platform",
        "ada.lovelace",
        "link",
    )
    if days is None:
        assert person.opted_out_until is None
    else:
        assert person.opted_out_until is not None
        left = person.opted_out_until - timezone.now()
        assert timedelta(days=days, minutes=-1) < left <= timedelta(days=days)
    assert people.contact("fake_platform", "ada.lovelace", timezone.now()).opted_out
    assert AuditEntry.objects.get().action == "opt out"


def test_nothing_happens_when_the_page_is_only_looked_at(client, page):
    answer = client.get(page)
    html = answer.content.decode()
    for choice in ("7 days", "30 days", "for good"):
        assert f"No messages {choice}" in html or f"No messages for {choice}" in html
    client.head(page)
    assert not Person.objects.exists()
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_page_says_nothing_of_the_person_or_the_message(client, page, message):
    for answer in (client.get(page), client.post(page, {"for": "7"})):
        html = answer.content.decode()
        for secret in ("ada.lovelace", message.text, message.post_id, "/admin"):
            assert secret not in html


def test_the_form_of_another_site_opts_nobody_out(page):
    elsewhere = Client(enforce_csrf_checks=True)
    assert elsewhere.post(page, {"for": "always"}).status_code == 403
    assert not Person.objects.exists()


def test_the_page_s_own_form_passes_that_check(page):
    phone = Client(enforce_csrf_checks=True)
    token = phone.get(page).context["csrf_token"]
    sent = phone.post(page, {"for": "always", "csrfmiddlewaretoken": str(token)})
    assert sent.status_code == 200
    assert Person.objects.get().opted_out_at


@pytest.mark.parametrize("said", [{}, {"for": "1"}, {"for": "-7"}])
def test_what_is_no_choice_opts_nobody_out(client, page, said):
    answer = client.post(page, said)
    assert answer.status_code == 400
    assert "No messages for good" in answer.content.decode()
    assert not Person.objects.exists()


def test_a_short_opt_out_does_not_end_one_for_good(client, page):
    client.post(page, {"for": "always"})
    client.post(page, {"for": "7"})
    assert Person.objects.get().opted_out_until is None


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_that_is_not_ours_is_a_friendly_404(client, message, method):
    good = token_of(message.comment_id, Purpose.OPT_OUT)
    changed = ("B" if good[0] == "A" else "A") + good[1:]
    without_message = token_of(message.comment_id + 1, Purpose.OPT_OUT)
    that_the_shop_knows = token_of(message.comment_id)
    for token in (changed, without_message, that_the_shop_knows, good[:-1], "x", "ü", "%00"):
        answer = getattr(client, method)(f"/o/{token}", {"for": "always"})
        assert answer.status_code == 404
        assert "This link does not work" in answer.content.decode()
    assert not Person.objects.exists()


def test_the_page_takes_nothing_but_looks_and_choices(client, page):
    assert client.delete(page).status_code == 405
