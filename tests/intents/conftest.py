"""Fixtures of the analysis and of its models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intents import registry
from intents.classifier import Classifier, read_card
from intents.models import ModelVersion
from tests.intents import tiny_model
from tests.intents.fake_models import Answer, folder_of, says
from tests.intents.fakes import FakeModel, active


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    """The files of a real model that was trained in seconds (`tests.intents.tiny_model`)."""
    folder: Path = tmp_path_factory.mktemp("tiny") / "model"
    tiny_model.train(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder) -> Classifier:
    """That model, loaded."""
    return Classifier.load(tiny_folder)


@pytest.fixture(scope="session")
def eager(tiny_folder, tmp_path_factory) -> Classifier:
    """That model, but to it everybody buys, in whatever language."""
    return tiny_model.eager(tiny_folder, tmp_path_factory.mktemp("eager") / "model")


@pytest.fixture
def model(monkeypatch) -> FakeModel:
    """The one model that answers; a test may give it other answers."""
    fake = FakeModel()
    monkeypatch.setattr(registry, "active", lambda: active(fake))
    return fake


@pytest.fixture
def answers(monkeypatch, tmp_path) -> dict[str, Answer]:
    """What the models of this test say, by version, if not 90; no real one is loaded.

    The model that is shipped is `shipped`; where one fails, `simple` answers.
    """
    told: dict[str, Answer] = {}

    def load(folder: Path) -> FakeModel:
        version = read_card(folder)["version"]
        return FakeModel(version, lambda text: told.get(version, says(90))(text))

    monkeypatch.setattr("intents.registry.Classifier.load", load)
    monkeypatch.setattr(registry, "MODEL_DIR", folder_of("shipped", tmp_path / "shipped"))
    monkeypatch.setattr(registry, "load_simple_classifier", lambda: FakeModel("simple"))
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "_failed_at", {})
    return told


@pytest.fixture
def registered(answers, db, tmp_path) -> Callable[..., ModelVersion]:
    """`registered("a", role, …)`: a registered model, with more on its card.

    The only one there is before is `shipped`, the champion.
    """
    ModelVersion.objects.all().delete()
    registry.register_shipped()

    def register(name: str, role: str = "retired", **card: Any) -> ModelVersion:
        return registry.register(folder_of(name, tmp_path / name, **card), ModelVersion.Role(role))

    return register
