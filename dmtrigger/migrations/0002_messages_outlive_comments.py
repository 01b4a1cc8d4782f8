"""A message carries what it needs of its comment and review, which are retired before it."""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
    UPDATE dmtrigger_directmessage m
    SET external_id = c.external_id, post_id = c.post_id, posted_at = c.posted_at,
        reason = i.label || ' ' || i.score || ' (' || i.model_version || '), approved by '
                 || coalesce(u.username, r.decided_by_rule)
    FROM comments_comment c, intents_intentresult i, intents_review r
    LEFT JOIN threadsagent_user u ON u.id = r.decided_by_id
    WHERE c.id = m.comment_id AND i.comment_id = m.comment_id AND r.id = m.review_id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("comments", "0002_ledger_partitions"),
        ("intents", "0002_partitions"),
        ("threadsagent", "0001_initial"),
        ("dmtrigger", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            "directmessage",
            "comment",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="message",
                to="comments.comment",
            ),
        ),
        migrations.SeparateDatabaseAndState(  # the column stays as it is
            state_operations=[
                migrations.RemoveField("directmessage", "comment"),
                migrations.AddField(
                    "directmessage", "comment_id", models.BigIntegerField(unique=True)
                ),
            ]
        ),
        migrations.AlterField(
            "directmessage",
            "review",
            models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="message",
                to="intents.review",
            ),
        ),
        migrations.AddField(
            "directmessage",
            "external_id",
            models.CharField(
                default="", help_text="the comment's, over there", max_length=100
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "directmessage",
            "post_id",
            models.CharField(default="", max_length=100),
            preserve_default=False,
        ),
        migrations.AddField(
            "directmessage",
            "posted_at",
            models.DateTimeField(
                default="2000-01-01T00:00:00Z", help_text="when the comment was written"
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "directmessage",
            "reason",
            models.TextField(default="", help_text="what the model said, and who approved"),
            preserve_default=False,
        ),
        migrations.RunSQL(FILL),
    ]
