"""A text that was answered is not asked again: in the process, and by way of Redis."""

import pytest
from django_redis import get_redis_connection

from intents import cache
from intents.classifier import FAILED_HOLD, Prediction
from tests.intents.fakes import FakeModel

LONG = "what a long story I have to tell about how I came to want this very thing here?"


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


def test_texts_that_are_alike_are_asked_once_and_each_has_its_answer(model):
    answers = cache.predict(model, ["price?", "lovely", "PRICE?  ", "price?"])
    assert model.batches == [["price?", "lovely"]]
    assert [a.label for a in answers] == ["purchase_intent", "praise", *["purchase_intent"] * 2]


def test_a_process_remembers(model):
    first = cache.predict(model, ["price?"])
    assert cache.predict(model, ["price?"]) == first
    assert model.batches == [["price?"], []]


def test_another_process_finds_the_answer_in_redis(model):
    model.answer = lambda _: Prediction("praise", 41, 0.5, "language", "de", {"words": []})
    first = cache.predict(model, ["price?"])
    cache.forget()
    assert cache.predict(model, ["price?"]) == first
    assert model.batches == [["price?"], []]


def test_another_model_has_answers_of_its_own(model):
    other = FakeModel("other")
    cache.predict(model, ["price?"])
    cache.predict(other, ["price?"])
    assert other.batches == [["price?"]]


def test_a_long_text_is_not_kept(model):
    cache.predict(model, [LONG])
    cache.predict(model, [LONG])
    assert model.batches == [[LONG], [LONG]]
    assert not get_redis_connection("default").keys("intent:*")


def test_the_answer_of_a_model_that_fails_is_not_kept(model):
    model.answer = lambda _: Prediction("praise", 41, 0.5, FAILED_HOLD)
    cache.predict(model, ["price?"])
    cache.predict(model, ["price?"])
    assert model.batches == [["price?"], ["price?"]]


def test_answers_in_redis_end(model):
    cache.predict(model, ["price?"])
    connection = get_redis_connection("default")
    [key] = connection.keys("intent:*")
    assert 0 < connection.ttl(key) <= cache.REDIS_SECONDS
    assert b"price" not in key


def test_without_redis_the_model_is_asked(model, monkeypatch):
    monkeypatch.setattr(cache, "ask", lambda _purpose, _question: None)
    assert cache.predict(model, ["price?"])[0].label == "purchase_intent"


def test_what_a_model_raises_is_raised_and_nothing_is_kept(model):
    with pytest.raises(ValueError, match="poison"):
        cache.predict(model, ["price?", "poison"])
    cache.predict(model, ["price?"])
    assert model.batches[-1] == ["price?"]
