"""A lease on each endpoint, the index of what it is due, and a history for every message."""

from django.db import migrations, models

# Retention goes by the events; messages of earlier releases have none.
FILL = """
    INSERT INTO dmtrigger_messageevent (message_id, state, detail, "by", at)
    SELECT m.id, m.state, '', '', COALESCE(m.sent_at, m.claimed_at, m.created_at)
    FROM dmtrigger_directmessage m
    WHERE NOT EXISTS (SELECT FROM dmtrigger_messageevent e WHERE e.message_id = m.id)
    ORDER BY m.id;
"""


class Migration(migrations.Migration):
    dependencies = [("dmtrigger", "0006_audit_log_is_fixed")]

    operations = [
        migrations.AddField(
            model_name="webhookendpoint",
            name="busy_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="a worker is sending to it until then, or it rests",
                null=True,
            ),
        ),
        migrations.RemoveIndex(model_name="webhookdelivery", name="webhook_due"),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("state", "pending")),
                fields=["endpoint", "next_attempt_at"],
                name="webhook_due",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
