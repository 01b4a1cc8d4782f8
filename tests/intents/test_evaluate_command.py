"""`evaluate_intent_model`, with a model that finds buyers by a word."""

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from intents.classifier import MODEL_DIR, Prediction


class FakeClassifier:
    """Whoever writes "price" buys; Spanish is held."""

    version = "fake-1"
    calls: list[int]
    loaded: Path

    @classmethod
    def load(cls, folder: Path) -> "FakeClassifier":
        if folder.name == "broken":
            raise ValueError("card.json does not fit")
        cls.loaded, cls.calls = folder, []
        return cls()

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        self.calls.append(len(texts))
        return [
            Prediction("purchase_intent", 90, 0.9, "language" if "precio" in text else "")
            if "price" in text or "precio" in text
            else Prediction("other", 5, 0.9)
            for text in texts
        ]


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setattr(
        "intents.management.commands.evaluate_intent_model.Classifier", FakeClassifier
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "labelled.csv"
    path.write_text(
        "text,label,sample\nprice?,purchase_intent,random\nprecio,purchase_intent,random\n"
        "so pretty,praise,enriched\nprice is a joke,complaint,enriched\n"
    )
    return path


def test_people_get_a_table_and_programs_json(data: Path, tmp_path: Path):
    report, printed = tmp_path / "report.json", StringIO()
    call_command("evaluate_intent_model", data=data, json=report, stdout=printed)
    figures = json.loads(report.read_text())
    assert (figures["model"], figures["data"]) == ("fake-1", "labelled.csv")
    assert figures["flagged_at_review_min_score"]["precision"] == 0.6667
    assert figures["held"] == {"language": 1}
    assert figures["slices"]["sample"]["enriched"]["flagged"] == 1
    assert "flagged from 60 on: F1" in printed.getvalue()


def test_operators_see_what_is_flagged_from_their_setting_on(data: Path, tmp_path: Path, settings):
    settings.REVIEW_MIN_SCORE = 95
    report = tmp_path / "report.json"
    call_command("evaluate_intent_model", data=data, json=report, stdout=StringIO())
    assert json.loads(report.read_text())["flagged_at_review_min_score"]["flagged"] == 0


def test_the_model_is_the_shipped_one_or_that_of_a_folder(data: Path, tmp_path: Path):
    call_command("evaluate_intent_model", data=data, stdout=StringIO())
    assert FakeClassifier.loaded == MODEL_DIR
    call_command("evaluate_intent_model", data=data, model=tmp_path, stdout=StringIO())
    assert FakeClassifier.loaded == tmp_path


def test_a_file_of_buyers_and_others_has_no_labels(tmp_path: Path):
    path, report = tmp_path / "traps.csv", tmp_path / "report.json"
    path.write_text("text,slice,pi\nprice?,plain,1\nworst service ever,anger,0\n")
    call_command("evaluate_intent_model", data=path, json=report, stdout=StringIO())
    figures = json.loads(report.read_text())
    assert (figures["average_precision"], figures["accuracy"]) == (1.0, None)


def test_a_long_file_is_predicted_in_parts(tmp_path: Path):
    path = tmp_path / "long.csv"
    path.write_text("text,label\n" + "nice,praise\n" * 600)
    call_command("evaluate_intent_model", data=path, stdout=StringIO())
    assert FakeClassifier.calls == [256, 256, 88]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text,label\nhi,greeting\n", "line 2, label: 'greeting'"),
        ("text,label\n", "there is no comment in it"),
        ("text\nhi\n", "line 1: no column label"),
    ],
)
def test_what_cannot_be_measured_is_named(tmp_path: Path, content: str, says: str):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(CommandError, match=says):
        call_command("evaluate_intent_model", data=path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(CommandError, match=r"missing\.csv"):
        call_command("evaluate_intent_model", data=tmp_path / "missing.csv")


def test_a_model_that_does_not_load_is_named(data: Path, tmp_path: Path):
    with pytest.raises(CommandError, match=r"broken: card\.json does not fit"):
        call_command("evaluate_intent_model", data=data, model=tmp_path / "broken")


def test_figures_that_cannot_be_written_are_an_error(data: Path, tmp_path: Path):
    with pytest.raises(CommandError, match="could not be written"):
        call_command("evaluate_intent_model", data=data, json=tmp_path, stdout=StringIO())
