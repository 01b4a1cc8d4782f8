"""Which models there are, and which of them answer. The only writer of `ModelVersion`.

The rows are read for every batch, so that all workers follow a promotion without being told; what
was loaded stays loaded as long as its row is active.
"""

import logging
import math
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from django.apps import apps as installed_apps
from django.apps.registry import Apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from intents import metrics
from intents.classifier import (
    MODEL_DIR,
    Classifier,
    FirstStage,
    load_simple_classifier,
    read_card,
)
from intents.models import Hold, ModelVersion
from intents.signals import model_promoted

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60  # until a model that could not be loaded is tried again
PROBES = ("How much is it?", "love it 😍", "", "Quanto custa?", "a" * 5_000)

Role = ModelVersion.Role

_loading = Lock()
_loaded: dict[str, Classifier] = {}
_failed_at: dict[str, float] = {}  # by `time.monotonic`


class Refused(Exception):
    """What was asked for makes no sense; the text says why, and what to do."""


class NoChampion(Exception):
    """There is no row to answer by."""


class Challenger(NamedTuple):
    """A model that is tried."""

    version_id: int
    traffic_percent: int
    classifier: Classifier


class Active(NamedTuple):
    """The models of a batch."""

    champion: Classifier | FirstStage
    challengers: list[Challenger]


# --- what answers -----------------------------------------------------------------------------


def active() -> Active:
    """The champion and the challengers as the rows say now; loads what is not loaded yet.

    Where the champion cannot be loaded the simple classifier answers, and all it says is held; a
    challenger that cannot be loaded is left out. Raises NoChampion.
    """
    rows = list(_without_files().exclude(role=Role.RETIRED).order_by("pk"))
    champion = next((row for row in rows if row.role == Role.CHAMPION), None)
    if champion is None:
        metrics.MODEL_ACTIVE.labels(Role.CHAMPION).set(0)
        raise NoChampion("No model is registered: run `manage.py migrate`, which does it.")
    with _loading:
        _drop_all_but({row.name for row in rows})
        loaded = _classifier(champion)
        metrics.MODEL_ACTIVE.labels(Role.CHAMPION).set(loaded is not None)
        answers = loaded or load_simple_classifier()
        challengers = [
            Challenger(row.pk, row.traffic_percent, classifier)
            for row in rows
            if row is not champion and (classifier := _classifier(row)) is not None
        ]
    return Active(answers, challengers)


def _drop_all_but(names: set[str]) -> None:
    for known in (_loaded, _failed_at):
        for name in known.keys() - names:
            del known[name]


def _classifier(row: ModelVersion) -> Classifier | None:
    """None if it cannot be loaded; that is tried again after RETRY_SECONDS, and logged once."""
    if row.name in _loaded:
        return _loaded[row.name]
    failed_at = _failed_at.get(row.name)
    if failed_at is not None and time.monotonic() < failed_at + RETRY_SECONDS:
        return None
    try:
        _loaded[row.name] = _load(row)
    except DatabaseError:
        raise  # which says nothing of the model
    except Exception:  # whatever is wrong with its files, comments are analysed
        metrics.MODEL_FAILED.labels(row.role).inc()
        if failed_at is None:
            logger.exception("model cannot be loaded", extra={"model_version": row.name})
        _failed_at[row.name] = time.monotonic()
        return None
    _failed_at.pop(row.name, None)
    return _loaded[row.name]


def _load(row: ModelVersion) -> Classifier:
    content = ModelVersion.objects.values_list("content", flat=True).get(pk=row.pk)
    if content is None:
        classifier = Classifier.load(MODEL_DIR)
    else:
        with TemporaryDirectory(prefix="intent-model-") as folder:
            with ZipFile(BytesIO(content)) as files:
                files.extractall(folder)
            classifier = Classifier.load(Path(folder))
    # While a release is rolled out its shipped model is the champion already, and the processes
    # of the release before answer with the one that came with them.
    if classifier.version != row.name and row.role != Role.CHAMPION:
        raise ValueError(f"the files here are those of {classifier.version}")
    return classifier


# --- what is registered -----------------------------------------------------------------------


def register_shipped(apps: Apps = installed_apps, **_: Any) -> None:
    """Make the row of the model that is shipped (a post_migrate receiver).

    It becomes the champion, unless that is one that was trained here. Raises OSError and
    ValueError when its card cannot be read.
    """
    if "modelversion" not in apps.all_models["intents"]:
        return  # migrated back to before there were any
    card = read_card(MODEL_DIR)
    with transaction.atomic():
        shipped, _is_new = ModelVersion.objects.get_or_create(
            name=card["version"], defaults={"card": card}
        )
        ModelVersion.objects.filter(pk=shipped.pk, content=None).update(card=card)
        rows = _locked()
        trained = ModelVersion.objects.filter(role=Role.CHAMPION, content__isnull=False)
        if rows[shipped.pk].role != Role.CHAMPION and not trained.exists():
            _make_champion(rows, shipped.pk, None)


def register(folder: Path, role: ModelVersion.Role = Role.RETIRED) -> ModelVersion:
    """Store a trained model's folder, as a challenger in shadow or for later (retired).

    Raises Refused for a version that there is, OSError and ValueError for a card that cannot be
    read.
    """
    if role == Role.CHAMPION:
        raise Refused("Register the model first, then promote it.")
    card = read_card(folder)
    try:
        with transaction.atomic():
            return ModelVersion.objects.create(
                name=card["version"], role=role, card=card, content=_zipped(folder)
            )
    except IntegrityError as error:
        raise Refused(f"There is a {card['version']} already: give it another version.") from error


def _zipped(folder: Path) -> bytes:
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as files:
        for path in sorted(folder.iterdir()):
            if path.is_file():
                files.write(path, path.name)
    return content.getvalue()


# --- what administrators do -------------------------------------------------------------------


def promote(version: ModelVersion, user: AbstractBaseUser) -> None:
    """Make it the champion; the former one retires. Raises Refused."""
    _check_that_it_works(version)
    with transaction.atomic():
        _make_champion(_locked(), version.pk, user)


def former_champion() -> ModelVersion | None:
    """The champion before the present one."""
    others = _without_files().exclude(role=Role.CHAMPION).filter(promoted_at__isnull=False)
    return others.order_by("-promoted_at").first()


def roll_back(user: AbstractBaseUser, seen: int | None = None) -> ModelVersion:
    """Make the champion before the present one champion again, and return it.

    `seen` is the key of the version that the user was shown: who presses the button twice must
    not come back to where they were. Raises Refused.
    """
    former = former_champion()
    if former is None:
        raise Refused("There was no other champion before: promote one from the list.")
    if seen not in (None, former.pk):
        raise Refused("The champion has changed meanwhile: look at the list again.")
    _check_that_it_works(former)
    with transaction.atomic():
        rows = _locked()
        if former_champion() != former:
            raise Refused("The champion has changed meanwhile: look at the list again.")
        _make_champion(rows, former.pk, user)
    return former


def try_out(version: ModelVersion, traffic_percent: int) -> None:
    """Let it answer this share of the comments itself (0 to 100), and the others in shadow.

    Raises Refused.
    """
    if not 0 <= traffic_percent <= 100:
        raise Refused("The share must be from 0 to 100 percent.")
    _check_that_it_works(version)
    with transaction.atomic():
        rows = _locked()
        row = _row(rows, version.pk)
        if row.role == Role.CHAMPION:
            raise Refused(f"{row} is the champion and answers already.")
        given = sum(other.traffic_percent for other in rows.values() if other is not row)
        if given + traffic_percent > 100:
            raise Refused(f"Other challengers have {given} % already: {100 - given} % are left.")
        _set(row, Role.CHALLENGER, traffic_percent)


def retire(version: ModelVersion) -> None:
    """Ask it no more. Raises Refused."""
    with transaction.atomic():
        row = _row(_locked(), version.pk)
        if row.role == Role.CHAMPION:
            raise Refused(f"{row} is the champion: promote another one, then it retires.")
        if row.role == Role.RETIRED:
            raise Refused(f"{row} is retired already.")
        _set(row, Role.RETIRED)


def _check_that_it_works(version: ModelVersion) -> None:
    """Refuse a model that cannot be loaded here, or that has no answer to `PROBES`."""
    try:
        predictions = _load(version).predict(PROBES)
    except DatabaseError:
        raise
    except Exception as error:  # its files are data: anything may be wrong with them
        hint = "register it again, or deploy the release that it came with"
        raise Refused(f"{version} cannot be used ({error}): {hint}.") from error
    if any(p.hold == Hold.MODEL_FAILED or not math.isfinite(p.confidence) for p in predictions):
        raise Refused(f"{version} gives no usable answers: train it again.")


def _without_files() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.defer("content", "card")


def _locked() -> dict[int, ModelVersion]:
    """All versions by key, locked until the transaction ends."""
    rows = _without_files().select_for_update().order_by("pk")
    return {row.pk: row for row in rows}


def _row(rows: dict[int, ModelVersion], pk: int) -> ModelVersion:
    if pk not in rows:
        raise Refused("This version is gone: look at the list again.")
    return rows[pk]


def _make_champion(rows: dict[int, ModelVersion], pk: int, user: AbstractBaseUser | None) -> None:
    new = _row(rows, pk)
    if new.role == Role.CHAMPION:
        raise Refused(f"{new} is the champion already.")
    for row in rows.values():
        if row.role == Role.CHAMPION:  # first: the database allows one at a time
            _set(row, Role.RETIRED)
    new.promoted_at = Now()
    new.promoted_by_id = user.pk if user else None
    new.save(update_fields=["promoted_at", "promoted_by"])
    _set(new, Role.CHAMPION)
    if user is not None:
        model_promoted.send(sender="intents.registry", version=new, user=user)


def _set(row: ModelVersion, role: ModelVersion.Role, traffic_percent: int = 0) -> None:
    row.role = role
    row.traffic_percent = traffic_percent
    row.save(update_fields=["role", "traffic_percent"])
    transaction.on_commit(
        lambda: logger.info(
            "model's role changed",
            extra={"model_version": row.name, "role": role, "traffic_percent": traffic_percent},
        )
    )
