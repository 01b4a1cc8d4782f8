"""``manage.py train_intent_model``: trains an intent model from labelled comments."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from intents import evaluation, labelled, registry, training
from intents.classifier import DATA_DIR, Classifier
from intents.export import reviewed_examples
from intents.labelled import Example
from intents.models import ModelVersion

HELD_OUT = DATA_DIR / "evaluation.csv"


class Command(BaseCommand):
    """Trains a model, measures it, and registers it as a challenger or writes its folder."""

    help = (
        "Trains an intent model on labelled comments (CSV with text, label and slice) and measures "
        "it on comments held out. Without --output it becomes a challenger in shadow, to be "
        "compared and promoted in the admin. Takes about half an hour on two cores."
    )
    requires_system_checks = []  # with --output and without --reviews it needs no service

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--data",
            type=Path,
            nargs="+",
            default=[training.COMMENTS_DIR],
            help="CSV files, or folders of them (default: %(default)s)",
        )
        parser.add_argument(
            "--reviews",
            action="store_true",
            help="learn from the operators' decisions too; they win over the files",
        )
        parser.add_argument("--output", type=Path, help="write the model to this folder instead")

    def handle(self, *, data: list[Path], reviews: bool, output: Path | None, **_: Any) -> None:
        with TemporaryDirectory(prefix="intent-model-") as temporary:
            folder = output or Path(temporary)
            try:
                held_out = labelled.read_sample(HELD_OUT)
                examples = _examples(data, held_out, with_reviews=reviews)
                self.stdout.write(f"Training on {len(examples)} comments.")
                card = training.train(examples, folder, _progress)
                classifier = Classifier.load(folder)
                card["metrics"] = evaluation.evaluate(
                    held_out,
                    classifier.predict([example.text for example in held_out]),
                    settings.REVIEW_MIN_SCORE,
                )
                training.write_card(folder, card)
            except (labelled.DataError, OSError) as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"{card['version']} on {HELD_OUT}\n")
            self.stdout.write(evaluation.table(card["metrics"]))
            if output:
                self.stdout.write(f"\nwritten: {output}")
                return
            try:
                version = registry.register(folder, ModelVersion.Role.CHALLENGER)
            except registry.Refused as error:
                raise CommandError(str(error)) from error
        self.stdout.write(
            f"\n{version} is a challenger now: it is asked about each new comment and sends "
            "nothing. Compare it with the champion in the admin, under Model versions."
        )


def _examples(data: list[Path], held_out: list[Example], *, with_reviews: bool) -> list[Example]:
    """Each text once, none that the model is measured with; reviews first, then the files."""
    files = [
        file for path in data for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])
    ]
    sources: list[Any] = [reviewed_examples()] if with_reviews else []
    sources += [labelled.read(file) for file in files]
    measured = {labelled.same(example.text) for example in held_out}
    examples: dict[str, Example] = {}
    for source in sources:
        for example in source:
            if (key := labelled.same(example.text)) not in measured:
                examples.setdefault(key, example)
    return list(examples.values())


def _progress(what: str, steps: int) -> Any:
    return tqdm(total=steps, desc=what, delay=1, disable=None)
