"""Training the model's head, and the two commands."""

import csv
import hashlib
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from intents import training
from intents.classifier import HEAD_PATH, LABELS, Classifier, Head


def write_csv(path: Path, *rows: tuple[str, ...]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    """The first ten committed comments of each label."""
    examples = training.read_examples(training.COMMENTS_PATH)
    few = [e for label in LABELS for e in [e for e in examples if e.label == label][:10]]
    return write_csv(tmp_path / "small.csv", ("text", "label"), *few)


def test_the_committed_head_was_trained_on_the_committed_comments():
    record = Head.loads(HEAD_PATH.read_text()).record
    assert record["data_sha256"] == hashlib.sha256(training.COMMENTS_PATH.read_bytes()).hexdigest()


def test_the_committed_head_ranks_unseen_buyers_well():
    metrics = Head.loads(HEAD_PATH.read_text()).record["cross_validation"]
    assert metrics["purchase_intent_average_precision"] > 0.85


def test_training_twice_gives_the_same_bytes(small_data: Path):
    assert training.train(small_data).dumps() == training.train(small_data).dumps()


def test_a_head_survives_being_written_and_read(small_data: Path):
    written = training.train(small_data).dumps()
    assert Head.loads(written).dumps() == written


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("how much?", "buyer"), "line 3, label: 'buyer'"),
        (("how much?", ""), "line 3, label: empty"),
        (("  ", "praise"), "line 3, text: empty"),
        (("how much?",), "line 3, label: empty"),
        (("Nice   ONE", "praise"), "line 3, text: stands already in line 2"),
    ],
)
def test_a_bad_row_is_named_by_line_and_field(tmp_path: Path, row: tuple[str, ...], says: str):
    path = write_csv(tmp_path / "bad.csv", ("text", "label"), ("nice one", "praise"), row)
    with pytest.raises(training.DataError, match=says):
        training.train(path)


def test_a_missing_column_is_named(tmp_path: Path):
    path = write_csv(tmp_path / "bad.csv", ("text", "class"), ("nice one", "praise"))
    with pytest.raises(training.DataError, match="line 1: no column label"):
        training.read_examples(path)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path):
    path = tmp_path / "latin1.csv"
    path.write_bytes("text,label\nqué bonito,praise\n".encode("latin-1"))
    with pytest.raises(training.DataError, match="not UTF-8"):
        training.read_examples(path)


def test_too_few_examples_of_a_label_are_refused(tmp_path: Path):
    path = write_csv(tmp_path / "few.csv", ("text", "label"), ("nice one", "praise"))
    with pytest.raises(training.DataError, match="0 examples of purchase_intent"):
        training.train(path)


def test_measuring_counts_right_and_wrong():
    metrics = training.measure(
        ["purchase_intent", "purchase_intent", "praise", "other"],
        ["purchase_intent", "praise", "praise", "purchase_intent"],
        [90, 30, 10, 70],
    )
    assert metrics["classes"]["purchase_intent"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "examples": 2,
    }
    assert metrics["accuracy"] == 0.5
    assert metrics["purchase_intent_average_precision"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-4)
    assert metrics["confusion"][0] == [1, 0, 1, 0, 0, 0]


def test_the_command_writes_a_head_that_loads_and_prints_its_metrics(
    small_data: Path, tmp_path: Path
):
    output, printed = tmp_path / "head.json", StringIO()
    call_command("train_intent_model", data=small_data, output=output, stdout=printed)
    assert Classifier.load(output).predict(["how much?"])[0].label in LABELS
    assert "average precision of purchase_intent" in printed.getvalue()


def test_the_command_refuses_bad_data_and_writes_nothing(tmp_path: Path):
    path = write_csv(tmp_path / "bad.csv", ("text", "label"), ("hi", "greeting"))
    output = tmp_path / "head.json"
    with pytest.raises(CommandError, match="line 2, label"):
        call_command("train_intent_model", data=path, output=output)
    assert not output.exists()


def test_the_model_is_evaluated_on_labelled_comments(small_data: Path, tmp_path: Path):
    report, printed = tmp_path / "report.json", StringIO()
    call_command("evaluate_intent_model", data=small_data, json=report, stdout=printed)
    figures = json.loads(report.read_text())
    assert figures["classes"]["purchase_intent"]["examples"] == 10
    assert figures["flagged"]["from_score"] == 60
    assert "flagged (score of 60 and up)" in printed.getvalue()


def test_the_model_is_evaluated_on_traps(tmp_path: Path):
    path = write_csv(
        tmp_path / "traps.csv",
        ("text", "slice", "pi"),
        ("how much is it?", "plain", "1"),
        ("worst service ever", "anger", "0"),
    )
    report = tmp_path / "report.json"
    call_command("evaluate_intent_model", data=path, json=report, stdout=StringIO())
    assert json.loads(report.read_text()) == {
        "slices": {
            "plain": {"flagged": 1, "examples": 1},
            "anger": {"flagged": 0, "examples": 1},
        },
        "purchase_intent_average_precision": 1.0,
    }
