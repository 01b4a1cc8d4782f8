"""``manage.py evaluate_intent_model``: measures the intent model in use on a file."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from intents import training
from intents.classifier import Prediction, load_classifier


class Command(BaseCommand):
    """Prints how good the model in use is on labelled comments or on traps."""

    help = (
        "Measures the intent model in use on a CSV file: with the columns text and label its "
        "precision and recall, with text, slice and pi the share that it flags of each slice. "
        "A comment is flagged from REVIEW_MIN_SCORE on."
    )
    requires_system_checks = []  # it has no use for the database or the cache

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="CSV file")
        parser.add_argument("--json", type=Path, help="also write the figures to this file")

    def handle(self, *_args: Any, **options: Any) -> None:
        path: Path = options["data"]
        try:
            columns = training.columns_of(path)
            if "label" not in columns and {"slice", "pi"} <= columns:
                figures = self._traps(training.read_traps(path))
            else:
                figures = self._examples(training.read_examples(path))
            if options["json"]:
                options["json"].write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except (training.DataError, OSError) as error:
            raise CommandError(str(error)) from error

    def _examples(self, examples: list[training.Example]) -> dict[str, Any]:
        predictions = _predict(examples)
        scores = [prediction.score for prediction in predictions]
        labels = [example.label for example in examples]
        figures = training.measure(labels, [prediction.label for prediction in predictions], scores)
        buys = [label == "purchase_intent" for label in labels]
        figures["flagged"] = training.measure_flags(buys, scores, settings.REVIEW_MIN_SCORE)
        self.stdout.write(training.table(figures))
        self.stdout.write(
            "\nflagged (score of {from_score} and up): {flagged}, "
            "precision {precision:.2f}, recall {recall:.2f}, F1 {f1:.2f}".format(
                **figures["flagged"]
            )
        )
        return figures

    def _traps(self, traps: list[training.Trap]) -> dict[str, Any]:
        scores = [prediction.score for prediction in _predict(traps)]
        figures = training.measure_traps(traps, scores, settings.REVIEW_MIN_SCORE)
        for name, row in figures["slices"].items():
            self.stdout.write(f"{name:28}{row['flagged']:4} of {row['examples']:4} flagged")
        average_precision = figures["purchase_intent_average_precision"]
        self.stdout.write(f"average precision of purchase_intent {average_precision}")
        return figures


def _predict(examples: list[training.Example] | list[training.Trap]) -> list[Prediction]:
    return load_classifier().predict([example.text for example in examples])
