"""`manage.py process_comments`: all comments of one post."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("process_comments", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_every_page_of_the_post_is_stored(fake_platform):
    for n in range(230):
        fake_platform.store.add_comment("p1", text=f"price {n}?", author="ada")
    fake_platform.store.add_comment("p2", text="not asked for", author="ada")
    assert run("p1") == "230 comments: 230 stored, 0 duplicates, 0 refused"
    assert run("p1") == "230 comments: 0 stored, 230 duplicates, 0 refused"


def test_a_platform_that_is_away_is_an_error_that_says_so(settings):
    settings.FAKE_PLATFORM_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match=r"fake platform, post p1.*\nStored before that: 0"):
        run("p1")


def test_an_unknown_source_names_those_there_are():
    with pytest.raises(CommandError, match="there are: fake_platform"):
        run("p1", "--source", "myspace")
