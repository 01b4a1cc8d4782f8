"""Results become keyed by their comment's id and partitioned by it, as the comments are."""

import django.db.models.deletion
from django.db import migrations, models

# Reviews pointed at the results' own ids. Two steps, since on the way two of them may be alike.
REKEY = """
    UPDATE intents_review r SET intent_id = -i.comment_id
    FROM intents_intentresult i WHERE i.id = r.intent_id;
    UPDATE intents_review SET intent_id = -intent_id;

    ALTER TABLE intents_intentresult DROP COLUMN id;
    ALTER TABLE intents_intentresult DROP CONSTRAINT intents_intentresult_comment_id_key;
    ALTER TABLE intents_intentresult ADD PRIMARY KEY (comment_id);
    ALTER TABLE intents_intentresult RENAME TO intents_intentresult_before;
    ALTER INDEX intents_intentresult_pkey RENAME TO intents_intentresult_before_pkey;
    CREATE TABLE intents_intentresult
        (LIKE intents_intentresult_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
        PARTITION BY RANGE (comment_id);
    ALTER TABLE intents_intentresult ADD PRIMARY KEY (comment_id);
    DO $$ BEGIN
        IF EXISTS (SELECT FROM intents_intentresult_before) THEN
            EXECUTE format(
                'ALTER TABLE intents_intentresult ATTACH PARTITION intents_intentresult_before
                 FOR VALUES FROM (MINVALUE) TO (%s)',
                comments_first_id((now() AT TIME ZONE 'UTC')::date)
            );
        ELSE
            DROP TABLE intents_intentresult_before;
        END IF;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("comments", "0002_ledger_partitions"),
        ("intents", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex("intentresult", "intent_by_label"),
        migrations.RemoveIndex("intentresult", "intent_by_score"),
        migrations.AlterField(
            "intentresult",
            "comment",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="intent",
                to="comments.comment",
            ),
        ),
        migrations.AlterField(
            "review",
            "intent",
            models.OneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="review",
                to="intents.intentresult",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(REKEY)],
            state_operations=[
                migrations.RemoveField("intentresult", "id"),
                migrations.AlterField(
                    "intentresult",
                    "comment",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="intent",
                        serialize=False,
                        to="comments.comment",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            "intentresult",
            models.Index(fields=["label", "comment"], name="intent_by_label"),
        ),
    ]
