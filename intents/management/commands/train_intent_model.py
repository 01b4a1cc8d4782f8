"""``manage.py train_intent_model``: makes the head of the intent model from labelled comments."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from intents import training
from intents.classifier import HEAD_PATH


class Command(BaseCommand):
    """Trains the head, writes it and prints its cross-validated metrics."""

    help = (
        "Trains the intent model's head on labelled comments, prints the metrics of a "
        "cross-validation and writes the head. Running workers take it when they restart."
    )
    requires_system_checks = []  # it has no use for the database or the cache

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data",
            type=Path,
            default=training.COMMENTS_PATH,
            help="CSV file with the columns text and label (default: %(default)s)",
        )
        parser.add_argument(
            "--output", type=Path, default=HEAD_PATH, help="file to write (default: %(default)s)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        data, output = options["data"], options["output"]
        try:
            head = training.train(data)
            output.write_text(head.dumps(), encoding="utf-8")
        except (training.DataError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{training.FOLDS}-fold cross-validation on {data}:")
        self.stdout.write(training.table(head.record["cross_validation"]))
        self.stdout.write(f"\nwritten: {output}")
