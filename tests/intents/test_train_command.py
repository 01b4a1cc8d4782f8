"""`manage.py train_intent_model`: what it learns from, where the model goes, what it refuses."""

import csv
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from intents import training
from intents.classifier import DATA_DIR, Classifier
from intents.labelled import Example, read_sample
from intents.management.commands import train_intent_model as command
from intents.models import ModelVersion
from tests.intents import tiny_model


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Training takes seconds, and the model is hardly better than chance."""
    train = training.train
    settings = training.Settings(**tiny_model.SETTINGS)
    monkeypatch.setattr(
        training, "train", lambda examples, folder, bar: train(examples, folder, bar, settings)
    )


@pytest.fixture
def comments(tmp_path: Path) -> Path:
    return write(tmp_path / "comments.csv", tiny_model.EXAMPLES)


def write(path: Path, examples: list[Example]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("text", "label", "slice"))
        rows.writerows((e.text, e.label, e.slices.get("slice", "none")) for e in examples)
    return path


def test_with_an_output_it_needs_no_service_and_writes_a_model_with_its_metrics(comments, tmp_path):
    printed, folder = StringIO(), tmp_path / "model"
    call_command("train_intent_model", data=[comments], output=folder, stdout=printed)
    model = Classifier.load(folder)
    assert f"Training on {len(tiny_model.EXAMPLES)} comments." in printed.getvalue()
    assert model.version in printed.getvalue()
    assert model.card["metrics"]["examples"] == len(read_sample(DATA_DIR / "evaluation.csv"))


@pytest.mark.django_db
def test_without_one_the_model_becomes_a_challenger_in_shadow(comments):
    printed = StringIO()
    call_command("train_intent_model", data=[comments], stdout=printed)
    row = ModelVersion.objects.get(role="challenger")
    assert row.traffic_percent == 0
    assert f"{row.name} is a challenger now" in printed.getvalue()


def test_a_folder_stands_for_its_files_and_a_text_is_learnt_once(tmp_path):
    same = Example("Price?", "purchase_intent", {})
    write(tmp_path / "a.csv", [same])
    write(tmp_path / "b.csv", [Example(" price? ", "praise", {}), Example("nice", "praise", {})])
    found = command._examples([tmp_path], [], with_reviews=False)
    assert [(e.text, e.label) for e in found] == [("Price?", "purchase_intent"), ("nice", "praise")]


def test_what_the_model_is_measured_with_is_not_learnt(tmp_path):
    path = write(tmp_path / "a.csv", [Example("price?", "purchase_intent", {})])
    held_out = [Example("PRICE?", "purchase_intent", {})]
    assert command._examples([path], held_out, with_reviews=False) == []


def test_the_operators_win_over_the_files(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", [Example("price?", "purchase_intent", {})])
    monkeypatch.setattr(command, "reviewed_examples", lambda: [Example("Price?", "other", {})])
    [found] = command._examples([path], [], with_reviews=True)
    assert found.label == "other"


def test_a_bad_row_is_named_and_nothing_is_written(tmp_path):
    path = write(tmp_path / "bad.csv", [Example("hi", "greeting", {})])
    with pytest.raises(CommandError, match=r"bad\.csv, line 2, label"):
        call_command("train_intent_model", data=[path], output=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"none\.csv"):
        call_command("train_intent_model", data=[tmp_path / "none.csv"], output=tmp_path / "model")
