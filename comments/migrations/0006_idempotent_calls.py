"""What calls with an `Idempotency-Key` were answered."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("comments", "0005_account"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            "IdempotentCall",
            [
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("key", models.CharField(max_length=255)),
                (
                    "fingerprint",
                    models.CharField(
                        help_text="SHA-256 of what was asked for, in hex", max_length=64
                    ),
                ),
                ("status", models.PositiveSmallIntegerField()),
                ("answer", models.TextField(help_text="JSON")),
                ("at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "indexes": [models.Index(fields=["at"], name="idempotent_call_by_age")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["user", "key"], name="idempotent_call_once_per_key"
                    )
                ],
            },
        ),
    ]
